"""A cell of which every edge holds every operation, weighted by a mix.

All edges that leave a node see the same input: operations without weights are computed once a node,
and the others of one kind together (`joined`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.operations import operations
from models.supernets.activity import Rows, active, index_of
from models.supernets.inputs import Input
from models.supernets.joined import Joined, join

K = TypeVar("K", bound=Hashable)

Edge = tuple[int, int]
"""(source, node)."""


def edges(inputs: int, nodes: int) -> list[Edge]:
    """Every edge of a cell whose first `inputs` of `nodes` nodes are given, in the order of DARTS:
    by node, then by source.
    """
    return [(source, node) for node in range(inputs, nodes) for source in range(node)]


class MixedCell(nn.Module):
    """Nodes that sum the mixed operations of all nodes before.

    With `partial` = K, operations see the first 1/K of the channels and the others pass by, halved
    by pooling where the stride is 2; then the channels are shuffled. PC-DARTS, Xu et al., ICLR
    2020, https://arxiv.org/abs/1907.05737, section 3.2.

    Shapes:
        inputs: (N, channels, H, W) each, mix: (edges, operations)
        -> one (N, channels, H / stride, W / stride) a node after the inputs
    """

    def __init__(
        self,
        names: Sequence[str],
        channels: int,
        inputs: int,
        nodes: int,
        stride: int = 1,
        partial: int = 1,
    ) -> None:
        super().__init__()
        self.names, self.channels, self.partial = tuple(names), channels, partial
        self.inputs, self.nodes, self.stride = inputs, nodes, stride
        self.rows = {edge: row for row, edge in enumerate(edges(inputs, nodes))}
        self.once, self.joined = nn.ModuleDict(), nn.ModuleDict()
        for source in range(nodes - 1):
            for name in self.names:
                if operations[name].is_zero:
                    continue
                copies = [
                    operations[name].build(channels // partial, self._stride(source))
                    for _ in self._targets(source)
                ]
                has_state = any(True for _ in copies[0].state_dict())
                (self.joined if has_state else self.once)[_key(source, name)] = (
                    join(copies) if has_state else copies[0]
                )

    def forward(self, inputs: Sequence[Tensor], mix: Tensor) -> list[Tensor]:
        weighted = active(mix)
        mixed: dict[int, Tensor] = {}
        passed: dict[int, Tensor] = {}
        values = list(inputs)
        for source in range(self.nodes):
            if source >= self.inputs:
                values.append(self._value(source, mixed, passed, values[0]))
            has_value = source < self.inputs or source in mixed or source in passed
            if source == self.nodes - 1 or not has_value:
                continue
            seen, beside = self._divided(values[source])
            _add_to(mixed, self._leaving(source, seen, mix, weighted))
            if beside is not None:
                _add_to(passed, self._passing(source, beside, mix))
        return values[self.inputs :]

    def state_of(self, edge: Edge, name: str) -> dict[str, Tensor]:
        """Weights and statistics of one operation on one edge."""
        source, node = edge
        key = _key(source, name)
        if key not in self.joined:
            return {}
        module = self.joined[key]
        assert isinstance(module, Joined)  # noqa: S101 - for the type checker
        return module.state_of(self._targets(source).index(node))

    def _targets(self, source: int) -> range:
        """The nodes to which edges lead from `source`."""
        return range(max(source + 1, self.inputs), self.nodes)

    def _stride(self, source: int) -> int:
        return self.stride if source < self.inputs else 1

    def _value(
        self, node: int, mixed: dict[int, Tensor], passed: dict[int, Tensor], like: Tensor
    ) -> Tensor:
        """What has arrived at a node; zero where no operation leads to it."""
        height, width = (-(-size // self.stride) for size in like.shape[2:])
        seen = mixed.get(node)
        if seen is None:
            seen = like.new_zeros(len(like), self.channels // self.partial, height, width)
        if self.partial == 1:
            return seen
        # Channel shuffle, Zhang et al. 2018: out of K groups take turns.
        return functional.channel_shuffle(torch.cat([seen, passed[node]], dim=1), self.partial)

    def _divided(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The channels that operations see, and those that pass by."""
        if self.partial == 1:
            return x, None
        return x[:, : self.channels // self.partial], x[:, self.channels // self.partial :]

    def _leaving(
        self, source: int, x: Tensor, mix: Tensor, weighted: Rows
    ) -> Iterator[tuple[int, Tensor]]:
        """What the edges from `source` add to other nodes."""
        targets = self._targets(source)
        rows = [self.rows[source, node] for node in targets]
        seen = Input(x)
        sums: dict[tuple[int, ...], Tensor] = {}
        for column, name in enumerate(self.names):
            places = tuple(place for place, row in enumerate(rows) if weighted[row][column])
            if places and _key(source, name) in self.joined:
                chosen = tuple(rows[place] for place in places)
                scale = mix[:, column][index_of(chosen, mix.device)]
                joined = self.joined[_key(source, name)]
                _add_to(sums, [(places, joined(seen, scale, places))])
        for places, total in sums.items():
            for place, part in zip(places, total.chunk(len(places), dim=1), strict=True):
                yield targets[place], part
        columns = [c for c, name in enumerate(self.names) if _key(source, name) in self.once]
        places = tuple(p for p, row in enumerate(rows) if any(weighted[row][c] for c in columns))
        columns = [c for c in columns if any(weighted[row][c] for row in rows)]
        if places:
            chosen = tuple(rows[place] for place in places)
            weights = mix[index_of(chosen, mix.device)]
            weights = weights[:, index_of(tuple(columns), mix.device)]
            parts = [self.once[_key(source, self.names[column])](x) for column in columns]
            mixtures = _mixtures(parts, weights * (weights.detach() != 0))
            yield from zip([targets[place] for place in places], mixtures, strict=True)

    def _passing(self, source: int, x: Tensor, mix: Tensor) -> Iterator[tuple[int, Tensor]]:
        """What passes by the operations, weighted by its edge: the sum of the edge's mix."""
        targets = self._targets(source)
        rows = tuple(self.rows[source, node] for node in targets)
        weights = mix[index_of(rows, mix.device)].sum(dim=1, keepdim=True)
        if self._stride(source) > 1:
            x = functional.max_pool2d(x, 2, ceil_mode=True)
        yield from zip(targets, _mixtures([x], weights), strict=True)


def _mixtures(parts: Sequence[Tensor], weights: Tensor) -> Sequence[Tensor]:
    """Sums of `parts`, one for each row of weights, as one product of matrices.

    Shapes:
        parts: (N, C, H, W) each, weights: (rows, parts) -> (N, C, H, W) each
    """
    pixels = torch.stack([part.permute(0, 2, 3, 1) for part in parts])
    sums = weights @ pixels.flatten(1)
    return sums.view(-1, *pixels.shape[1:]).permute(0, 1, 4, 2, 3).unbind()


def _add_to(sums: dict[K, Tensor], parts: Iterable[tuple[K, Tensor]]) -> None:
    for key, part in parts:
        sums[key] = sums[key] + part if key in sums else part


def _key(source: int, name: str) -> str:
    return f"from_{source}_{name}"
