"""Seconds per search step on shared weights, against a supernet written the straightforward way.

    python benchmarks/supernet.py

A step is one of the architecture and one of the weights. The straightforward supernet is that of
the DARTS paper's code: one module per operation per edge, contiguous images (NCHW), and a backward
pass that computes all gradients in both steps. It holds the same weights and computes the same
numbers (tests/models/test_supernets.py). Both take turns, a step each, in a random order; a figure
is the median over the rounds, a ratio the median of the rounds' ratios. `wall` is by the clock,
`cpu` by the processor time of this process, which a neighbour disturbs less. `peak_bytes` is what
one step allocated at most, by the allocator's own count.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.operations import operations
from models.supernets import Supernet
from models.supernets.cells import Edge, MixedCell
from models.supernets.joined import without_affine


class PlainCell(nn.Module):
    """Equation 2 of the DARTS paper word for word: each edge a sum over all operations."""

    def __init__(self, cell: MixedCell) -> None:
        """The same weights as `cell`, each in a module of its own."""
        super().__init__()
        self.inputs, self.nodes, self.partial, self.rows = (
            cell.inputs,
            cell.nodes,
            cell.partial,
            cell.rows,
        )
        self.stride, self.names = cell.stride, cell.names
        channels = cell.channels // cell.partial
        self.edges = nn.ModuleList()
        for source, node in cell.rows:
            stride = cell.stride if source < cell.inputs else 1
            edge = nn.ModuleDict()
            for name in cell.names:
                if not operations[name].is_zero:
                    edge[name] = without_affine(operations[name].build(channels, stride))
                    edge[name].load_state_dict(cell.state_of((source, node), name), strict=False)
            self.edges.append(edge.to(next(cell.parameters()).dtype))

    def state_of(self, edge: Edge, name: str) -> dict[str, Tensor]:
        chosen = self.edges[self.rows[edge]]
        return dict(chosen[name].state_dict()) if name in chosen else {}

    def forward(self, inputs: Sequence[Tensor], mix: Tensor) -> list[Tensor]:
        values = list(inputs)
        for node in range(self.inputs, self.nodes):
            values.append(
                sum(
                    self._edge(source, values[source], row, mix[row])
                    for (source, into), row in self.rows.items()
                    if into == node
                )
            )
        return values[self.inputs :]

    def _edge(self, source: int, x: Tensor, row: int, weights: Tensor) -> Tensor:
        edge = self.edges[row]
        if self.partial == 1:
            return self._mixed(edge, x, weights)
        seen = x.shape[1] // self.partial
        beside = x[:, seen:]
        if source < self.inputs and self.stride > 1:
            beside = functional.max_pool2d(beside, 2, ceil_mode=True)
        mixed = self._mixed(edge, x[:, :seen], weights)
        joined = torch.cat([mixed, beside * weights.sum()], dim=1)
        return functional.channel_shuffle(joined, self.partial)

    def _mixed(self, edge: nn.ModuleDict, x: Tensor, weights: Tensor) -> Tensor:
        return sum(
            weights[column] * edge[name](x)
            for column, name in enumerate(self.names)
            if name in edge
        )


def straightforward(supernet: Supernet) -> Supernet:
    """A copy with plain cells in place of the fused ones, everything contiguous."""
    plain = copy.deepcopy(supernet).to(memory_format=torch.contiguous_format)
    for path, module in list(plain.named_modules()):
        if isinstance(module, MixedCell):
            parent, _, name = path.rpartition(".")
            setattr(plain.get_submodule(parent), name, PlainCell(module))
    return plain
