"""A drawing as SVG: text and shapes with classes, light or dark as its reader is; no script, no
link, nothing to load.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from models.drawing.graph import Drawing, Edge, Graph, Node
from models.drawing.layout import Box, Layout, Point, laid_out

MARGIN, COLUMN_GAP, PART_GAP = 24.0, 44.0, 34.0
TITLE_SIZE, DETAIL_SIZE, HEADING_SIZE = 13, 11, 15
LINE = 15.0
EM, BOLD_EM = 0.58, 0.64
"""Mean width of a character, in its size: on the safe side for the fonts below."""

STYLE = """\
.nas{font-family:Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;font-size:11px}
.nas .page{fill:#ffffff}
.nas text{fill:#1f2328;text-anchor:middle}
.nas .heading{font-size:15px;font-weight:600;text-anchor:start}
.nas .note{fill:#57606a;text-anchor:start}
.nas .title{font-size:13px;font-weight:600}
.nas .small{fill:#57606a}
.nas .box{fill:#f3f6fa;stroke:#7d8ea3}
.nas .block .box{fill:#e3edfb;stroke:#3f6fb5}
.nas .end .box{fill:#ffffff;stroke:#57606a}
.nas .state .box{fill:#fdf3dc;stroke:#b08520}
.nas .operation .box{fill:#ffffff;stroke:#7d8ea3}
.nas .label{fill:#ffffff;stroke:none}
.nas .edge{fill:none;stroke:#6e7a89;stroke-width:1.3}
.nas .tip{fill:#6e7a89;stroke:none}
.nas .repeat{fill:none;stroke:#3f6fb5;stroke-dasharray:5 4}
.nas .times{fill:#3f6fb5;font-weight:600;text-anchor:start}
.nas .differs .box{fill:#ffe3d3;stroke:#c2410c;stroke-width:2}
.nas .differs .label{fill:#ffe3d3;stroke:#c2410c}
.nas .rule{stroke:#d0d7de}
@media (prefers-color-scheme:dark){
.nas .page{fill:#0d1117}
.nas text{fill:#e6edf3}
.nas .note,.nas .small{fill:#9da7b3}
.nas .box{fill:#1c2430;stroke:#6b7a8f}
.nas .block .box{fill:#15294a;stroke:#6ea0ea}
.nas .end .box,.nas .operation .box{fill:#0d1117;stroke:#8b949e}
.nas .state .box{fill:#3a2d10;stroke:#d3a63c}
.nas .label{fill:#0d1117}
.nas .edge{stroke:#8b949e}
.nas .tip{fill:#8b949e}
.nas .repeat{stroke:#6ea0ea}
.nas .times{fill:#6ea0ea}
.nas .differs .box{fill:#4a1d0b;stroke:#fb8c5a}
.nas .differs .label{fill:#4a1d0b;stroke:#fb8c5a}
.nas .rule{stroke:#30363d}
}
"""

Marks = Mapping[str, Collection[str]]
"""By the id of a graph, the ids of its nodes, and of its edges as `edge_id` has them, that differ.
"""


def edge_id(edge: Edge) -> str:
    """Of the label of an edge; no node has such an id."""
    return f"{edge.source} > {edge.target} > {edge.label}"


def svg(drawing: Drawing) -> str:
    """The whole picture, beginning with `<svg`."""
    return _document([(drawing, {})], [])


def svg_pair(pairs: Sequence[tuple[Drawing, Marks]], notes: Sequence[str]) -> str:
    """Drawings side by side, what differs marked; `notes`: what differs, in words."""
    return _document(pairs, notes)


def _document(drawings: Sequence[tuple[Drawing, Marks]], notes: Sequence[str]) -> str:
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    root.set("class", "nas")
    titles = [_heading(drawing) for drawing, _ in drawings]
    _text_of(SubElement(root, "title"), " beside ".join(titles))
    SubElement(root, "style").text = STYLE
    page = SubElement(root, "rect", {"class": "page"})
    x, height = MARGIN, 0.0
    for place, (drawing, marks) in enumerate(drawings):
        if place:
            _rule(root, x - COLUMN_GAP / 2)
        group = SubElement(root, "g", transform=f"translate({_n(x)} {_n(MARGIN)})")
        width, tall = _draw(group, drawing, marks)
        x, height = x + width + COLUMN_GAP, max(height, tall)
    width, height = x - COLUMN_GAP + MARGIN, height + 2 * MARGIN
    for rule in root.findall("line"):
        rule.set("y2", _n(height - MARGIN))
    for note in notes:
        _line(root, note, (MARGIN, height), "note")
        height += LINE
        width = max(width, 2 * MARGIN + _wide(note, DETAIL_SIZE))
    height += MARGIN if notes else 0.0
    for name, value in (("width", width), ("height", height)):
        root.set(name, _n(value))
        page.set(name, _n(value))
    root.set("viewBox", f"0 0 {_n(width)} {_n(height)}")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _rule(parent: Element, x: float) -> None:
    SubElement(parent, "line", {"class": "rule", "x1": _n(x), "x2": _n(x), "y1": _n(MARGIN)})


def _heading(drawing: Drawing) -> str:
    return f"{drawing.title}: {_count(drawing.parameters)} parameters, {_flops(drawing.flops)}"


def _draw(parent: Element, drawing: Drawing, marks: Marks) -> tuple[float, float]:
    """The network on the left, the inside of its blocks in columns beside it; gives the size."""
    _line(parent, drawing.title, (0, HEADING_SIZE), "heading")
    said = f"{_count(drawing.parameters)} parameters \N{MIDDLE DOT} {_flops(drawing.flops)}"
    _line(parent, said, (0, HEADING_SIZE + LINE + 2), "note")
    top = HEADING_SIZE + 2 * LINE + 8
    network = SubElement(parent, "g", transform=f"translate(0 {_n(top)})")
    width, height = _draw_graph(network, drawing.network, marks.get(drawing.network.id, ()))
    width = max(width, _wide(drawing.title, HEADING_SIZE), _wide(said, DETAIL_SIZE))
    tallest = max(height, 420.0)
    x, y, column, bottom = width + COLUMN_GAP, 0.0, 0.0, height
    for part in drawing.parts:
        group = Element("g")
        wide, tall = _draw_graph(group, part, marks.get(part.id, ()))
        wide = max(wide, _wide(part.title, TITLE_SIZE))
        if y and y + LINE + tall > tallest:
            x, y, column = x + column + COLUMN_GAP, 0.0, 0.0
        _line(parent, part.title, (x, top + y + TITLE_SIZE - 4), "heading")
        group.set("transform", f"translate({_n(x)} {_n(top + y + LINE + 6)})")
        parent.append(group)
        column, width = max(column, wide), x + max(column, wide)
        y += LINE + 6 + tall + PART_GAP
        bottom = max(bottom, y - PART_GAP)
    return width, top + bottom


def _draw_graph(parent: Element, graph: Graph, marked: Collection[str]) -> tuple[float, float]:
    """Gives its size. A label is laid out as a node on its edge, so that none hides another."""
    sizes = {node.id: _size(node) for node in graph.nodes}
    links: list[tuple[str, str]] = []
    for edge in graph.edges:
        if edge.label:
            sizes[edge_id(edge)] = (_wide(edge.label, DETAIL_SIZE) + 10, LINE + 3)
            links += [(edge.source, edge_id(edge)), (edge_id(edge), edge.target)]
        else:
            links.append((edge.source, edge.target))
    layout = laid_out(sizes, links)
    for source, target in dict.fromkeys(links):
        has_tip = not any(edge_id(edge) == target for edge in graph.edges if edge.label)
        _draw_edge(parent, layout, source, target, has_tip)
    for edge in graph.edges:
        if edge.label:
            _draw_label(parent, edge, layout.boxes[edge_id(edge)], edge_id(edge) in marked)
    for node in graph.nodes:
        _draw_node(parent, node, layout.boxes[node.id], node.id in marked)
    right = layout.width
    for repeat in graph.repeats:
        boxes = [layout.boxes[name] for name in repeat.nodes]
        right = max(right, _draw_repeat(parent, boxes, repeat.times))
    badges = [node for node in graph.nodes if node.times > 1]
    for node in badges:
        box = layout.boxes[node.id]
        right = max(right, _draw_times(parent, box.x + box.width / 2 + 5, box.y, node.times))
    return right, layout.height


def _size(node: Node) -> tuple[float, float]:
    title = _wide(node.title, TITLE_SIZE)
    if node.kind == "operation":
        return max(title + 16, 28.0), 24.0
    widths = [title, *(_wide(line, DETAIL_SIZE) for line in _small_lines(node))]
    height = 13.0 + LINE * len(widths)
    return max(*widths, 20.0) + 20, max(height, 28.0)


def _small_lines(node: Node) -> list[str]:
    known = [f"({', '.join(map(str, node.shape))})"] if node.shape else []
    if node.parameters:
        known.append(f"{_count(node.parameters)} params")
    if node.flops:
        known.append(_flops(node.flops))
    return [line for line in (node.detail, " \N{MIDDLE DOT} ".join(known)) if line]


def _draw_node(parent: Element, node: Node, box: Box, is_marked: bool) -> None:
    group = SubElement(parent, "g", {"class": f"{node.kind} differs" if is_marked else node.kind})
    _text_of(SubElement(group, "title"), _told(node))
    round_ends = node.kind in ("operation", "state", "end")
    radius = box.height / 2 if round_ends and box.height < 40 else 6
    _rectangle(group, box, "box", radius)
    lines = [] if node.kind == "operation" else _small_lines(node)
    y = box.y + 4.5 - LINE * len(lines) / 2
    _line(group, node.title, (box.x, y), "title")
    for line in lines:
        y += LINE
        _line(group, line, (box.x, y), "small")


def _told(node: Node) -> str:
    """For who asks for it, or listens."""
    return ", ".join([node.id, node.title, *_small_lines(node)])


def _draw_label(parent: Element, edge: Edge, box: Box, is_marked: bool) -> None:
    group = SubElement(parent, "g", {"class": "differs"} if is_marked else {})
    _rectangle(group, box, "label", 4)
    _line(group, edge.label, (box.x, box.y + 4), "small")


def _draw_repeat(parent: Element, boxes: Sequence[Box], times: int) -> float:
    left = min(box.x - box.width / 2 for box in boxes) - 9
    right = max(box.x + box.width / 2 for box in boxes) + 9
    top = min(box.top[1] for box in boxes) - 9
    bottom = max(box.bottom[1] for box in boxes) + 9
    around = Box((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    _rectangle(parent, around, "repeat", 10)
    return _draw_times(parent, right + 5, around.y, times)


def _draw_times(parent: Element, x: float, y: float, times: int) -> float:
    said = f"\N{MULTIPLICATION SIGN} {times}"
    _line(parent, said, (x, y + 4), "times")
    return x + _wide(said, TITLE_SIZE)


def _draw_edge(parent: Element, layout: Layout, source: str, target: str, has_tip: bool) -> None:
    start, end = layout.boxes[source].bottom, layout.boxes[target].top
    points = [start, *layout.ways[source, target], (end[0], end[1] - (6 if has_tip else 0))]
    path = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    path += _curves(points)
    SubElement(parent, "path", {"class": "edge", "d": "".join(path)})
    if has_tip:
        x, y = end
        corners = [(x, y), (x - 3.5, y - 7), (x + 3.5, y - 7)]
        tip = " ".join(f"{_n(a)},{_n(b)}" for a, b in corners)
        SubElement(parent, "polygon", {"class": "tip", "points": tip})


def _curves(points: Sequence[Point]) -> Iterator[str]:
    """From point to point, upright at each."""
    for (x, y), (to_x, to_y) in pairwise(points):
        if abs(x - to_x) < 0.05:
            yield f"L{_n(to_x)} {_n(to_y)}"
            continue
        half = (y + to_y) / 2
        yield f"C{_n(x)} {_n(half)} {_n(to_x)} {_n(half)} {_n(to_x)} {_n(to_y)}"


def _rectangle(parent: Element, box: Box, name: str, radius: float) -> None:
    corner = {"x": _n(box.x - box.width / 2), "y": _n(box.y - box.height / 2)}
    size = {"width": _n(box.width), "height": _n(box.height), "rx": _n(radius)}
    SubElement(parent, "rect", {"class": name, **corner, **size})


def _line(parent: Element, text: str, at: Point, name: str) -> None:
    _text_of(SubElement(parent, "text", {"class": name, "x": _n(at[0]), "y": _n(at[1])}), text)


_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text_of(element: Element, text: str) -> None:
    """Escaped when it is written; what XML cannot hold is shown as missing."""
    element.text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _wide(text: str, size: int) -> float:
    """Of small text, or of a title, which is bold."""
    return (EM if size == DETAIL_SIZE else BOLD_EM) * size * len(text)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:.2f} M"


def _flops(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}FLOPs"
    return f"{number} FLOPs"
