"""Figures as SVG: no script, no style of its own, so that a strict policy lets it be.

Colours are those of the classes in `charts.css`, which is put inside where the picture stands
alone. Every text is one of an element tree, and so escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from xml.etree import ElementTree

from service.api.charts.figures import Bar, Bars, Chart, Figure, Point, Reference, Series
from service.api.charts.scales import Scale, written

Element = ElementTree.Element

WIDTH, HEIGHT = 720, 320
TONES = 6
"""Colours, each with dashes and a mark of its own."""

DRAWN_POINTS = 400
"""Of a series; of more, so many that are spread evenly are drawn. The table has them all."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 46
_LINE = 18
_LETTER = 6.3
_NAMES = 230
_LONGEST = 34
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")  # not of XML


@cache
def style() -> str:
    """The classes of all pictures, in light and dark."""
    return (files("service.api.charts") / "charts.css").read_text("utf-8")


def svg(figure: Figure, *, alone: bool = False) -> str:
    """The picture. `alone`: a file of its own, with its style inside."""
    drawn = _chart(figure) if isinstance(figure, Chart) else _bars(figure)
    title = Element("title", {"id": f"chart-{figure.name}"})
    title.text = _clean(figure.title)
    drawn.insert(0, title)
    if alone:
        drawn.set("xmlns", "http://www.w3.org/2000/svg")
        sheet = Element("style")
        sheet.text = style()
        drawn.insert(1, sheet)
    return ElementTree.tostring(drawn, encoding="unicode")


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """At most `DRAWN_POINTS`, the first and the last among them."""
    if len(points) <= DRAWN_POINTS:
        return points
    step = (len(points) - 1) / (DRAWN_POINTS - 1)
    return [points[round(index * step)] for index in range(DRAWN_POINTS)]


def _chart(chart: Chart) -> Element:
    series = [
        Series(s.name, tuple(thinned(s.points)), s.form, i if s.tone is None else s.tone)
        for i, s in enumerate(chart.series)
    ]
    xs = [point.x for one in series for point in one.points]
    ys = [value for one in series for point in one.points for value in _heights(point)]
    ys += [value for line in chart.references for value in _extent(line)]
    if chart.diagonal:
        xs = ys = [*xs, *ys]
    is_whole = all(value.is_integer() for value in map(float, xs))
    x = replace(Scale.of(xs, _LEFT, WIDTH - _RIGHT), is_whole=is_whole)
    y = Scale.of(ys, HEIGHT - _BOTTOM, _TOP)
    first = len(series)
    legend = [
        (one.name, one.tone or 0, one.form == "points")
        for one, given in zip(series, chart.series, strict=True)
        if given.in_legend
    ] + [(line.name, first + i, False) for i, line in enumerate(chart.references)]
    names = list(_legend(legend, HEIGHT))
    root = _root(chart, HEIGHT + _LINE * (max((n[1] for n in names), default=0) + 1))
    _axes(root, x, y, chart.x, chart.y)
    for i, line in enumerate(chart.references):
        _reference(root, line.low, line.high, y.at(line.value), y, first + i)
    if chart.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        ends = {"x1": x.at(low), "y1": y.at(low), "x2": x.at(high), "y2": y.at(high)}
        _add(root, "line", "chart-diagonal", **ends)
    for one in series:
        _series(root, one, x, y)
    for element, _ in names:
        root.append(element)
    return root


def _heights(point: Point) -> Iterator[float]:
    yield from (v for v in (point.y, point.low, point.high) if v is not None)


def _extent(line: Reference | Bar) -> list[float]:
    return [v for v in (line.value, line.low, line.high) if v is not None]


def _root(figure: Figure, height: float) -> Element:
    return Element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {height:g}",
            "class": "chart",
            "role": "img",
            "aria-labelledby": f"chart-{figure.name}",
        },
    )


def _axes(root: Element, x: Scale, y: Scale, x_name: str, y_name: str) -> None:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value in y.ticks():
        at = y.at(value)
        _add(root, "line", "chart-grid", x1=_LEFT, y1=at, x2=right, y2=at)
        _text(root, written(value), _LEFT - 6, at + 4, "end")
    for value in x.ticks():
        at = x.at(value)
        _add(root, "line", "chart-axis", x1=at, y1=bottom, x2=at, y2=bottom + 4)
        _text(root, written(value), at, bottom + 17, "middle")
    _add(root, "line", "chart-axis", x1=_LEFT, y1=bottom, x2=right, y2=bottom)
    _text(root, x_name, (_LEFT + right) / 2, HEIGHT - 10, "middle", "chart-name")
    name = _text(root, y_name, 0, 0, "middle", "chart-name")
    name.set("transform", f"translate(13 {(_TOP + bottom) / 2:g}) rotate(-90)")


def _reference(
    root: Element, low: float | None, high: float | None, at: float, y: Scale, tone: int
) -> None:
    right = WIDTH - _RIGHT
    if low is not None and high is not None:
        top, bottom = sorted((y.at(low), y.at(high)))
        box = {"x": _LEFT, "y": top, "width": right - _LEFT, "height": bottom - top}
        _add(root, "rect", f"chart-band {_tone(tone)}", **box)
    _add(root, "line", f"chart-reference {_tone(tone)}", x1=_LEFT, y1=at, x2=right, y2=at)


def _series(root: Element, series: Series, x: Scale, y: Scale) -> None:
    tone = series.tone or 0
    for point in series.points:
        if point.low is not None and point.high is not None:
            ends = {"y1": y.at(point.low), "y2": y.at(point.high)}
            at = x.at(point.x)
            _add(root, "line", f"chart-interval {_tone(tone)}", x1=at, x2=at, **ends)
    places = [(x.at(point.x), y.at(point.y)) for point in series.points]
    if series.form == "points":
        for place, point in zip(places, series.points, strict=True):
            mark = _mark(root, tone, *place)
            ElementTree.SubElement(mark, "title").text = _clean(
                f"{series.name}: {written(point.x)}, {written(point.y)}"
            )
        return
    if series.form == "steps":
        corners = [((b[0], a[1]), b) for a, b in pairwise(places)]
        places = [*places[:1], *(place for corner in corners for place in corner)]
    if places:
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        ElementTree.SubElement(root, "path", {"class": f"chart-line {_tone(tone)}", "d": path})


def _mark(root: Element, tone: int, x: float, y: float) -> Element:
    """A form for each colour, so that nobody has to tell colours apart."""
    kind = f"chart-mark {_tone(tone)}"
    if tone % 3 == 0:
        return _add(root, "circle", kind, cx=x, cy=y, r=3.5)
    if tone % 3 == 1:
        return _add(root, "rect", kind, x=x - 3.2, y=y - 3.2, width=6.4, height=6.4)
    corners = ((x, y - 4.4), (x + 4.4, y), (x, y + 4.4), (x - 4.4, y))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return ElementTree.SubElement(root, "polygon", {"class": kind, "points": points})


def _legend(names: Sequence[tuple[str, int, bool]], top: float) -> Iterator[tuple[Element, int]]:
    """Each entry, and the line it is on, from the left as long as there is room."""
    x, line = float(_LEFT), 0
    for name, tone, is_mark in names:
        width = 34 + _LETTER * min(len(name), 2 * _LONGEST)
        if x > _LEFT and x + width > WIDTH - _RIGHT:
            x, line = float(_LEFT), line + 1
        y = top + 10 + _LINE * line
        entry = Element("g")
        if is_mark:
            _mark(entry, tone, x + 9, y - 4)
        else:
            _add(entry, "line", f"chart-line {_tone(tone)}", x1=x, y1=y - 4, x2=x + 18, y2=y - 4)
        _text(entry, _cut(name, 2 * _LONGEST), x + 23, y, "start")
        yield entry, line
        x += width


def _bars(bars: Bars) -> Element:
    row = 22
    height = _TOP + row * len(bars.bars) + _BOTTOM
    line = bars.reference
    values = [value for one in bars.bars for value in _extent(one)]
    values += _extent(line) if line else []
    x = Scale.of(values, _NAMES, WIDTH - 70, zero=bars.form == "bar")
    root = _root(bars, height + (_LINE if line else 0))
    bottom = height - _BOTTOM
    for value in x.ticks():
        at = x.at(value)
        _add(root, "line", "chart-grid", x1=at, y1=_TOP, x2=at, y2=bottom)
        _text(root, written(value), at, bottom + 17, "middle")
    if line is not None:
        at = x.at(line.value)
        _add(root, "line", f"chart-reference {_tone(1)}", x1=at, y1=_TOP, x2=at, y2=bottom)
        for element, _ in _legend([(line.name, 1, False)], height):
            root.append(element)
    for index, bar in enumerate(bars.bars):
        middle = _TOP + row * index + row / 2
        _text(root, _cut(bar.name, _LONGEST), _NAMES - 8, middle + 4, "end")
        at = x.at(bar.value)
        if bars.form == "bar":
            start, end = sorted((x.at(0.0), at))
            box = {"x": start, "y": middle - 7, "width": max(end - start, 0.5), "height": 14}
            _add(root, "rect", f"chart-bar {_tone(0)}", **box)
        if bar.low is not None and bar.high is not None:
            ends = {"x1": x.at(bar.low), "x2": x.at(bar.high)}
            _add(root, "line", f"chart-interval {_tone(0)}", y1=middle, y2=middle, **ends)
        if bars.form == "dot":
            _mark(root, 0, at, middle)
        _text(root, written(bar.value), WIDTH - 64, middle + 4, "start")
    _text(root, bars.x, (_NAMES + WIDTH - 70) / 2, height - 10, "middle", "chart-name")
    return root


def _add(root: Element, tag: str, kind: str, **places: float) -> Element:
    at = {name: f"{value:.1f}" for name, value in places.items()}
    return ElementTree.SubElement(root, tag, {"class": kind, **at})


def _text(
    root: Element, text: str, x: float, y: float, anchor: str, kind: str = "chart-text"
) -> Element:
    place = {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    element = ElementTree.SubElement(root, "text", place)
    element.text = _clean(text)
    return element


def _tone(number: int) -> str:
    return f"tone-{number % TONES}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)
