"""What stands in a row several times is drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.drawing.graph import Edge, Graph, Node, Repeat

LONGEST = 8
"""Nodes of a row that is looked for."""


def collapsed(graph: Graph) -> Graph:
    """Each run of equal nodes as one, and each run of equal rows of nodes as one row. Nodes are
    equal that look the same and read nodes that stand as far before them.
    """
    order = {node.id: place for place, node in enumerate(graph.nodes)}
    sources: list[list[int]] = [[] for _ in graph.nodes]
    for edge in graph.edges:
        sources[order[edge.target]].append(order[edge.source] - order[edge.target])
    looks = [
        (node.looks, tuple(sorted(read))) for node, read in zip(graph.nodes, sources, strict=True)
    ]
    stands_for: dict[str, str] = {}
    nodes: list[Node] = []
    repeats: list[Repeat] = []
    place = 0
    while place < len(looks):
        length, times = _run(looks, place)
        kept = graph.nodes[place : place + length]
        for number, node in enumerate(graph.nodes[place : place + length * times]):
            stands_for[node.id] = kept[number % length].id
        if times > 1 and length == 1:
            kept = (replace(kept[0], times=times),)
        elif times > 1:
            repeats.append(Repeat(tuple(node.id for node in kept), times))
        nodes += kept
        place += length * times
    position = {node.id: place for place, node in enumerate(nodes)}
    edges = dict.fromkeys(
        Edge(stands_for[edge.source], stands_for[edge.target], edge.label) for edge in graph.edges
    )
    forward = [edge for edge in edges if position[edge.source] < position[edge.target]]
    return replace(graph, nodes=tuple(nodes), edges=tuple(forward), repeats=tuple(repeats))


def _run(looks: Sequence[object], place: int) -> tuple[int, int]:
    """How long the row is that begins here and how often it comes: the most nodes, in the shortest
    row; once where there is none.
    """
    found = (1, 1)
    for length in range(1, LONGEST + 1):
        row, times = looks[place : place + length], 1
        while looks[place + length * times : place + length * (times + 1)] == row:
            times += 1
        if times > 1 and length * times > found[0] * found[1]:
            found = (length, times)
    return found
