"""Samples of graph tasks, to be indexed in place as a tensor of samples is.

A batch of them is what a network takes: nodes picked from the one graph that all samples share, or
several graphs side by side, without links between them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.graph import Features, Graph, Sparse


class Nodes(Graph):
    """Nodes of one graph. A network sees all of the graph whichever are picked."""

    picked: Tensor

    def __init__(self, graph: Graph, picked: Tensor) -> None:
        super().__init__(graph.x, graph.links, picked, weights=graph.weights)
        self.known = graph.known

    def __len__(self) -> int:
        return len(self.picked)

    def __getitem__(self, which: slice) -> Nodes:
        return Nodes(self, self.picked[which])

    def index_select(self, dim: int, index: Tensor) -> Nodes:
        return Nodes(self, self.picked.index_select(dim, index))

    def joined(self, other: Nodes) -> Nodes:
        """These nodes, then the others, of the same graph."""
        return Nodes(self, torch.cat([self.picked, other.picked]))

    def ones(self) -> Nodes:
        """The same nodes; every feature that is stored is 1, in float64."""
        return Nodes(Graph(_ones(self.x), self.links, weights=self.weights), self.picked)

    def to(self, device: torch.device) -> Nodes:
        if self.picked.device == device:
            return self
        weights = None if self.weights is None else self.weights.to(device)
        moved = Graph(_moved(self.x, device), self.links.to(device), weights=weights)
        return Nodes(moved, self.picked.to(device))

    def parts(self) -> dict[str, Tensor]:
        """The tensors that it is made of, by name."""
        return _parts(self) | {"picked": self.picked}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Tensor], features: int) -> Nodes:
        graph = Graph(*_from_parts(parts, features), weights=parts.get("link_weights"))
        return cls(graph, parts["picked"])

    @property
    def evaluation_batch(self) -> int:
        """All at once: a pass costs the same for one node."""
        return max(1, len(self))


class Graphs(Graph):
    """Graphs side by side."""

    graph_of: Tensor

    def __init__(
        self,
        x: Tensor | Features,
        links: Sparse,
        graph_of: Tensor,
        graphs: int,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__(x, links, graph_of=graph_of, graphs=graphs, weights=weights)
        numbers = torch.arange(graphs + 1, device=graph_of.device)
        self.node_starts = torch.searchsorted(graph_of, numbers)
        self.link_starts = links.starts[self.node_starts]

    def __len__(self) -> int:
        return self.graphs

    def __getitem__(self, which: slice) -> Graphs:
        return self.index_select(0, torch.arange(self.graphs, device=self.graph_of.device)[which])

    def index_select(self, dim: int, index: Tensor) -> Graphs:
        counts = self.node_starts.diff()[index]
        nodes = _ranges(self.node_starts[index], counts)
        graph_of = torch.arange(len(index), device=index.device).repeat_interleave(counts)
        link_counts = self.link_starts.diff()[index]
        links = _ranges(self.link_starts[index], link_counts)
        moved_by = counts.cumsum(0) - counts - self.node_starts[index]
        shift = moved_by.repeat_interleave(link_counts)
        rows, columns = self.links.rows[links] + shift, self.links.columns[links] + shift
        within = Sparse(rows, columns, len(nodes), len(nodes))
        weights = None if self.weights is None else self.weights[links]
        return Graphs(_rows(self.x, nodes), within, graph_of, len(index), weights)

    def joined(self, other: Graphs) -> Graphs:
        """These graphs, then the others."""
        height = self.links.height + other.links.height
        links = _stacked(self.links, other.links, self.links.width, height)
        x: Tensor | Features
        if isinstance(self.x, Features) and isinstance(other.x, Features):
            places = _stacked(self.x.places, other.x.places, 0, self.x.places.width)
            x = Features(places, torch.cat([self.x.values, other.x.values]))
        elif isinstance(self.x, Tensor) and isinstance(other.x, Tensor):
            x = torch.cat([self.x, other.x])
        else:
            raise TypeError("features are all dense or all sparse")
        graph_of = torch.cat([self.graph_of, other.graph_of + self.graphs])
        weights = None
        if self.weights is not None and other.weights is not None:
            weights = torch.cat([self.weights, other.weights])
        elif self.weights is not None or other.weights is not None:
            raise TypeError("the links of all graphs have weights, or of none")
        return Graphs(x, links, graph_of, self.graphs + other.graphs, weights)

    def ones(self) -> Graphs:
        """The same graphs; every feature that is stored is 1, in float64."""
        return Graphs(_ones(self.x), self.links, self.graph_of, self.graphs, self.weights)

    def to(self, device: torch.device) -> Graphs:
        if self.graph_of.device == device:
            return self
        graph_of, links = self.graph_of.to(device), self.links.to(device)
        weights = None if self.weights is None else self.weights.to(device)
        return Graphs(_moved(self.x, device), links, graph_of, self.graphs, weights)

    def parts(self) -> dict[str, Tensor]:
        """The tensors that it is made of, by name."""
        return _parts(self) | {"graph_of": self.graph_of}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Tensor], features: int) -> Graphs:
        graph_of, weights = parts["graph_of"], parts.get("link_weights")
        return cls(*_from_parts(parts, features), graph_of, int(graph_of[-1]) + 1, weights)

    @property
    def evaluation_batch(self) -> int:
        """Graphs of about 16,384 links in all."""
        return max(1, self.graphs * 2**14 // max(1, len(self.links)))


def _parts(graph: Graph) -> dict[str, Tensor]:
    links = {"link_rows": graph.links.rows, "link_columns": graph.links.columns}
    if graph.weights is not None:
        links["link_weights"] = graph.weights
    if isinstance(graph.x, Tensor):
        return links | {"x": graph.x}
    places = graph.x.places
    return links | {"values": graph.x.values, "rows": places.rows, "columns": places.columns}


def _from_parts(parts: Mapping[str, Tensor], features: int) -> tuple[Tensor | Features, Sparse]:
    nodes = int(parts["link_rows"][-1]) + 1  # every node is linked to itself
    links = Sparse(parts["link_rows"], parts["link_columns"], nodes, nodes)
    if "x" in parts:
        return parts["x"], links
    places = Sparse(parts["rows"], parts["columns"], nodes, features)
    return Features(places, parts["values"]), links


def _ones(x: Tensor | Features) -> Tensor | Features:
    if isinstance(x, Tensor):
        return torch.ones_like(x, dtype=torch.float64)
    return Features(x.places, torch.ones_like(x.values, dtype=torch.float64))


def _moved(x: Tensor | Features, device: torch.device) -> Tensor | Features:
    if isinstance(x, Tensor):
        return x.to(device)
    return Features(x.places.to(device), x.values.to(device))


def _rows(x: Tensor | Features, rows: Tensor) -> Tensor | Features:
    if isinstance(x, Tensor):
        return x[rows]
    places = x.places
    counts = places.starts.diff()[rows]
    entries = _ranges(places.starts[rows], counts)
    of_row = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
    chosen = Sparse(of_row, places.columns[entries], len(rows), places.width)
    return Features(chosen, x.values[entries])


def _stacked(upper: Sparse, lower: Sparse, shift: int, width: int) -> Sparse:
    """`lower` under `upper`, its columns moved to the right by `shift`."""
    rows = torch.cat([upper.rows, lower.rows + upper.height])
    columns = torch.cat([upper.columns, lower.columns + shift])
    return Sparse(rows, columns, upper.height + lower.height, width)


def _ranges(starts: Tensor, counts: Tensor) -> Tensor:
    """The numbers starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ..."""
    before = counts.cumsum(0) - counts
    shift = (starts - before).repeat_interleave(counts)
    return shift + torch.arange(len(shift), device=starts.device)
