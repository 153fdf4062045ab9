"""What a drawing shows: graphs of nodes and edges, as frozen values without places or colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["end", "block", "layer", "operation", "state"]


@dataclass(frozen=True, slots=True)
class Node:
    """A step of the computation; of a cell, one of its states.

    id: unique in its graph. title: what it is. detail: its sizes, or what it is made of.
    shape: of what leaves it for one sample; empty: not told. parameters, flops: of it alone.
    part: the id of the graph that shows its inside; empty: none does.
    times: how often it stands here in a row, for one time drawn.
    """

    id: str
    title: str
    detail: str = ""
    shape: tuple[int, ...] = ()
    parameters: int = 0
    flops: int = 0
    kind: Kind = "layer"
    part: str = ""
    times: int = 1

    @property
    def looks(self) -> tuple[object, ...]:
        """What nodes have in common that stand for equal steps."""
        return (
            *(self.title, self.detail, self.shape, self.parameters, self.flops),
            *(self.kind, self.part, self.times),
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """label: the operation on the way; empty: none."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row of nodes that comes `times` times, for one time drawn."""

    nodes: tuple[str, ...]
    times: int


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order in which they are computed."""

    id: str
    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    repeats: tuple[Repeat, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A network and the inside of its blocks, each once."""

    title: str
    parameters: int
    flops: int
    network: Graph
    parts: tuple[Graph, ...] = ()

    @property
    def graphs(self) -> Sequence[Graph]:
        return (self.network, *self.parts)
