"""Where the nodes of a graph stand: in layers from top to bottom, by Sugiyama's method.

Sugiyama, Tagawa and Toda 1981; the order in the layers, and the places of nodes and of the bends of
long edges, are those of the library fast-sugiyama, stretched to the sizes of the nodes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import fast_sugiyama

LAYER_GAP, NODE_GAP = 26.0, 22.0
"""Pixels between layers, and between neighbours."""

for _library in ("rust-sugiyama", "connected_components"):  # they tell of each of their steps
    logging.getLogger(_library).setLevel(logging.WARNING)

Size = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """Of a node: its middle and its size, in pixels; y goes down."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        return self.x, self.y - self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """`ways`: by edge, the points that it passes between its ends, each where it enters and where
    it leaves a layer.
    """

    boxes: Mapping[str, Box]
    ways: Mapping[tuple[str, str], Sequence[Point]]
    width: float
    height: float


def laid_out(sizes: Mapping[str, Size], edges: Iterable[tuple[str, str]]) -> Layout:
    """Of a graph without cycles; a node that no edge meets stands below the others.

    The same graph gives the same layout.
    """
    wanted = [*dict.fromkeys(edges)]
    places, links = _places(wanted)
    lowest = min((layer for _, layer in places.values()), default=0.0)
    for number, name in enumerate(name for name in sizes if name not in places):
        places[name] = (0.0, lowest - 1 - number)
    layers = sorted({layer for _, layer in places.values()}, reverse=True)
    rows = {layer: [n for n, (_, other) in places.items() if other == layer] for layer in layers}
    scale = max((_needed(row, places, sizes) for row in rows.values()), default=1.0)
    spans, y = {}, 0.0
    for layer, row in rows.items():
        height = max(_size(name, sizes)[1] for name in row)
        spans[layer] = (y, y + height)
        y += height + LAYER_GAP
    left = min(
        (x * scale - _size(name, sizes)[0] / 2 for name, (x, _) in places.items()),
        default=0.0,
    )
    boxes = {}
    for name, (width, height) in sizes.items():
        x, layer = places[name]
        top, bottom = spans[layer]
        boxes[name] = Box(x * scale - left, (top + bottom) / 2, width, height)
    bends = {
        name: [(x * scale - left, edge) for edge in spans[layer]]
        for name, (x, layer) in places.items()
        if name not in sizes
    }
    ways = {edge: _way(edge, links, bends) for edge in wanted}
    points = [point for way in ways.values() for point in way]
    right = [box.x + box.width / 2 for box in boxes.values()] + [x for x, _ in points]
    return Layout(boxes, ways, max(right, default=0.0), max(y - LAYER_GAP, 0.0))


_Name = str | tuple[int, int]
"""Of a node; of a bend the number of its connected part and its own there."""

_Links = Mapping[_Name, Sequence[_Name]]


def _places(edges: Sequence[tuple[str, str]]) -> tuple[dict[_Name, Point], _Links]:
    """Where nodes and bends stand, with layers as y that grows upwards; and what leads to what.

    The library orders nodes by a set of them, which for small integers, and not for texts, has the
    same order in each process.
    """
    names = [*dict.fromkeys(name for edge in edges for name in edge)]
    numbers = {name: number for number, name in enumerate(names)}
    places: dict[_Name, Point] = {}
    links: dict[_Name, list[_Name]] = {}
    if not edges:
        return places, links
    offset = 0.0
    asked = [(numbers[source], numbers[target]) for source, target in edges]
    found = fast_sugiyama.from_edges(
        asked, vertex_spacing=1, dummy_vertices=True, ranking_type="up"
    )
    for part, (positions, width, height, linked) in enumerate(found):

        def own(number: int | str, part: int = part) -> _Name:
            return names[int(number)] if int(number) < len(names) else (part, int(number))

        for number, (x, y) in positions:
            places[own(number)] = (x + offset, y - height)
        for source, target in linked or ():
            links.setdefault(own(source), []).append(own(target))
        offset += width + 1
    return places, links


def _size(name: _Name, sizes: Mapping[str, Size]) -> Size:
    """A bend has none."""
    return sizes[name] if isinstance(name, str) else (0.0, 0.0)


def _needed(
    row: Sequence[_Name], places: Mapping[_Name, Point], sizes: Mapping[str, Size]
) -> float:
    """How many pixels one unit of x must have, so that neighbours keep their distance."""
    ordered = sorted(row, key=lambda name: places[name][0])
    needed = 1.0
    for left, right in pairwise(ordered):
        widths = [_size(name, sizes)[0] for name in (left, right)]
        apart = places[right][0] - places[left][0]
        needed = max(needed, (sum(widths) / 2 + NODE_GAP) / max(apart, 0.25))
    return needed


def _way(
    edge: tuple[str, str], links: _Links, bends: Mapping[_Name, Sequence[Point]]
) -> list[Point]:
    """The bends of the chain that leads from one end to the other."""
    source, target = edge
    for first in links.get(source, ()):
        way: list[Point] = []
        name = first
        while name in bends:
            way += bends[name]
            (name,) = links[name]
        if name == target:
            return way
    return []
