"""The recurrent cell of DARTS in which every edge holds every activation, weighted by a mix.

A node has one map, whichever node it is applied to, as in the code of the paper: a supernet has the
weights of a plain network, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.operations.recurrent import CELL_ACTIVATIONS, DartsCell
from models.supernets.activity import active, index_of
from models.supernets.cells import edges


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaves one node, for all nodes that it leads to: side by side, so that a weight of the
    mix is a row of equal numbers, which is what vector units like.

    Shapes:
        maps: (2 * targets * hidden, hidden), all gates before all new values
        shares: of each activation in `used` (targets * hidden,); total: their sum
    """

    targets: Sequence[int]
    maps: Tensor
    used: Sequence[nn.Module]
    shares: Sequence[Tensor]
    total: Tensor

    def apply(self, value: Tensor) -> Sequence[Tensor]:
        """For each target the sum of s + c * (new - s) over the activations, by their shares.

        Shapes:
            (N, hidden) -> (N, hidden) each
        """
        gate, new = functional.linear(value, self.maps).chunk(2, dim=1)
        mixed = self.shares[0] * self.used[0](new)
        for activation, share in zip(self.used[1:], self.shares[1:], strict=True):
            mixed = torch.addcmul(mixed, share, activation(new))
        stays = self.total * value.repeat(1, len(self.targets))
        return torch.lerp(stays, mixed, gate.sigmoid()).chunk(len(self.targets), dim=1)


class MixedCell(nn.Module):
    """The next state, by the weights of `cell`, whatever nodes that one has been built with.

    A node is the mean of all that arrives at it, by the weights of the mix: a mix of one edge a
    node is a plain cell. The paper's code sums and normalises by the batch, in its search alone.

    Shapes:
        step: (N, 2 * hidden), an input as it is mapped; state: (N, hidden) -> (N, hidden)
    """

    def __init__(self, cell: DartsCell, activations: Sequence[str], mix: Tensor) -> None:
        """The edges of `mix` are in the order of `edges`, its first option is none.

        Shapes:
            mix: (edges, 1 + activations)
        """
        super().__init__()
        self._cell = cell
        self._leaving = _all_leaving(cell, activations, mix)

    def states(self, x: Tensor, part: Callable[..., Any]) -> Tensor:
        """The state after each step; a step is a `part` of a supernet.

        Shapes:
            (N, steps, inputs) -> (N, steps, hidden)
        """
        steps = self._cell.input(x).unbind(dim=1)
        state = x.new_zeros(len(x), self._cell.hidden)
        states = []
        for step in reversed(steps) if self._cell.reverse else steps:
            state = part(self, step, state)
            states.append(state)
        return torch.stack(states[::-1] if self._cell.reverse else states, dim=1)

    def forward(self, step: Tensor, state: Tensor) -> Tensor:
        gate, new = torch.addmm(step, state, self._cell.state.weight.T).chunk(2, dim=1)
        values = [torch.lerp(state, new.tanh(), gate.sigmoid())]
        arrived: dict[int, Tensor] = {}
        for source, leaving in enumerate(self._leaving):
            if source:
                values.append(arrived[source] if source in arrived else torch.zeros_like(state))
            if leaving is not None:
                parts = leaving.apply(values[source])
                for node, part in zip(leaving.targets, parts, strict=True):
                    arrived[node] = arrived[node] + part if node in arrived else part
        return torch.stack(values[1:]).mean(dim=0)


def _all_leaving(cell: DartsCell, activations: Sequence[str], mix: Tensor) -> list[Leaving | None]:
    """Of each node; None where all its edges have weight zero."""
    rows = {edge: row for row, edge in enumerate(edges(1, len(cell.maps) + 1))}
    weights = mix * (mix.detach() != 0)
    weighted = [row[1:] for row in active(mix)]
    totals = _totals(weights, [node for _, node in rows])
    maps = [linear.weight.view(2, cell.hidden, cell.hidden) for linear in _linear(cell)]
    found: list[Leaving | None] = []
    for source in range(len(cell.maps) + 1):
        targets = [n for s, n in rows if s == source and any(weighted[rows[s, n]])]
        if not targets:
            found.append(None)
            continue
        own = [rows[source, node] for node in targets]
        columns = [c for c in range(len(activations)) if any(weighted[row][c] for row in own)]
        of_edges = weights[:, 1:][index_of(tuple(own), mix.device)]
        shares = of_edges[:, index_of(tuple(columns), mix.device)]
        shares = shares / totals[index_of(tuple(targets), mix.device)][:, None]
        found.append(
            Leaving(
                targets,
                torch.stack([maps[node - 1] for node in targets], dim=1).flatten(0, 2),
                [CELL_ACTIVATIONS[activations[column]]() for column in columns],
                shares.repeat_interleave(cell.hidden, dim=0).T.unbind(),
                shares.sum(dim=1).repeat_interleave(cell.hidden),
            )
        )
    return found


def _totals(weights: Tensor, into: Sequence[int]) -> Tensor:
    """Of each node the weights of all activations on the edges into it.

    Their gradient is that of none alone: a row of a mix has a fixed sum. So it is right for a
    softmax, and a sample of GDAS, whose weights are one with a gradient, does not lose that.

    Shapes:
        weights: (edges, 1 + activations), none first -> (1 + nodes,)
    """
    none = weights[:, 0] * (weights[:, 1:].detach() != 0).any(dim=1)
    given = weights[:, 1:].detach().sum(dim=1) - (none - none.detach())
    return weights.new_zeros(max(into) + 1).index_add(
        0, index_of(tuple(into), weights.device), given
    )


def _linear(cell: DartsCell) -> Iterator[nn.Linear]:
    for module in cell.maps:
        assert isinstance(module, nn.Linear)  # noqa: S101 - for the type checker
        yield module
