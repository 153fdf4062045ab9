"""Graphs as a network takes them: features, dense or sparse, and links between nodes.

Every product with a sparse matrix runs along its rows, backwards along its columns: both passes
then write each row of the result once. On Cora that is five to ten times faster than
`torch.sparse.mm` or gathering and scattering, forward and backward. The text of these classes goes
into an exported `model.py`, so they need nothing but torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Product(torch.autograd.Function):
    """values-weighted sums of the rows of `dense`, and their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dense: Tensor, *places: Tensor) -> Tensor:
        ctx.save_for_backward(values, dense, *places)
        _, columns, starts, *_ = places
        return weighted_sums(columns, dense, starts, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, dense, rows, columns, _, order, by_column, column_starts = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        of_values = of_dense = None
        if ctx.needs_input_grad[0]:
            ends = gradient.index_select(0, rows), dense.index_select(0, columns)
            of_values = (ends[0] * ends[1]).sum(1)
        if ctx.needs_input_grad[1]:
            reordered = values.index_select(0, order)
            of_dense = weighted_sums(by_column, gradient, column_starts, reordered)
        return of_values, of_dense, None, None, None, None, None, None


def weighted_sums(index: Tensor, dense: Tensor, starts: Tensor, values: Tensor) -> Tensor:
    """One row a bag: the sum of values * dense[index] from one start to the next."""
    return functional.embedding_bag(
        index,
        dense,
        starts,
        mode="sum",
        per_sample_weights=values.to(dense.dtype),
        include_last_offset=True,
    )


class Sparse:
    """Where a matrix has entries, row by row; their values are given to the product.

    Shapes:
        rows, columns: (entries,), rows ascending
    """

    def __init__(self, rows: Tensor, columns: Tensor, height: int, width: int) -> None:
        self.rows, self.columns, self.height, self.width = rows, columns, height, width
        self.starts = torch.searchsorted(rows, torch.arange(height + 1, device=rows.device))
        self.order = torch.argsort(columns, stable=True)
        self.rows_by_column = rows[self.order]
        ends = torch.arange(width + 1, device=rows.device)
        self.column_starts = torch.searchsorted(columns[self.order], ends)

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> Sparse:
        rows, columns = self.rows.to(device), self.columns.to(device)
        return Sparse(rows, columns, self.height, self.width)

    def product(self, values: Tensor, dense: Tensor) -> Tensor:
        """The matrix of `values` (entries,) times `dense` (width, n), as (height, n)."""
        by_row = (self.rows, self.columns, self.starts)
        by_column = (self.order, self.rows_by_column, self.column_starts)
        result: Tensor = Product.apply(values, dense.contiguous(), *by_row, *by_column)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result


class Features:
    """Sparse features of nodes.

    Shapes:
        values: (entries,) of `places`, a matrix of (nodes, features)
    """

    def __init__(self, places: Sparse, values: Tensor) -> None:
        self.places, self.values = places, values

    def times(self, weight: Tensor) -> Tensor:
        """(nodes, features) times (features, n)."""
        return self.places.product(self.values, weight)


class Graph:
    """Links between nodes, the features of nodes, and what is asked for: some of the nodes, or
    something of every graph where there are several side by side.

    Shapes:
        x: (nodes, features), a tensor or `Features`
        links: (nodes, nodes), row: target, column: source; every node is linked to itself
        picked: (samples,) nodes, or None: all
        graph_of: (nodes,) ascending, the graph of each node, or None: all are of one graph
        graphs: number of graphs
        weights: (links,), 0 or more: a link of weight 2 counts as two do; from a node to itself it
            is 1. None: all are 1
    """

    def __init__(
        self,
        x: Tensor | Features,
        links: Sparse,
        picked: Tensor | None = None,
        graph_of: Tensor | None = None,
        graphs: int = 1,
        weights: Tensor | None = None,
    ) -> None:
        self.x, self.links, self.picked = x, links, picked
        self.graph_of, self.graphs, self.weights = graph_of, graphs, weights
        self.known: dict[str, Tensor] = {}

    def others(self) -> Tensor:
        """Of each link its weight, or 0 where it leads from a node to itself."""
        return self.of_links("others")

    def mean(self) -> Tensor:
        """Of each link its share of the weights to its target, 0 from a node to itself."""
        return self.of_links("mean")

    def symmetric(self, loops: bool) -> Tensor:
        """The values of D^-1/2 A D^-1/2, where A has the weights, and ones on its diagonal if
        `loops`.
        """
        return self.of_links("loops" if loops else "no loops")

    def of_links(self, name: str) -> Tensor:
        """Worked out once a graph; outside of inference mode, so that training may use it too."""
        if name not in self.known:
            with torch.inference_mode(False):
                self.known[name] = link_values(self.links, name, self.weights)
        return self.known[name]


def link_values(links: Sparse, name: str, weights: Tensor | None = None) -> Tensor:
    values = torch.ones_like(links.rows, dtype=torch.float32) if weights is None else weights
    if name != "loops":
        values = values.masked_fill(links.rows == links.columns, 0)
    if name == "others":
        return values
    degree = values.new_zeros(links.height).index_add(0, links.rows, values)
    degree = degree.masked_fill(degree == 0, 1.0)
    if name == "mean":
        return values / degree[links.rows]
    scale = degree.rsqrt()
    return scale[links.rows] * values * scale[links.columns]
