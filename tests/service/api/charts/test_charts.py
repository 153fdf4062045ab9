"""Charts: where things lie, worked out by hand, and that no text becomes markup."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from service.api.charts.figures import Bar, Bars, Chart, Point, Reference, Series
from service.api.charts.scales import Scale, written
from service.api.charts.svg import DRAWN_POINTS, TONES, style, svg, thinned

HOSTILE = '<script>alert(1)</script>"\x00&'


def chart(*points: Point, **changes: Any) -> Chart:
    given: dict[str, Any] = {
        "name": "a",
        "title": "A",
        "says": "how",
        "x": "trials",
        "y": "score",
        "series": (Series("one", points, "points"),),
        **changes,
    }
    return Chart(**given)


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 - our own


def test_a_scale_is_a_straight_line_with_room_around_the_values() -> None:
    """0 and 10 with 5 % room: -0.5..10.5 over 110 pixels, ten a unit."""
    scale = Scale.of([0.0, 10.0], 0.0, 110.0)
    assert [scale.at(value) for value in (-0.5, 0.0, 10.0, 10.5)] == [0.0, 5.0, 105.0, 110.0]
    assert scale.ticks() == [0.0, 5.0, 10.0]
    down = Scale.of([0.0, 10.0], 110.0, 0.0)
    assert down.at(0.0) == 105.0


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.3, 0.3, [-0.2, 0.0, 0.2]),
        (3.0, 27.0, [5.0, 10.0, 15.0, 20.0, 25.0]),
        (0.951, 0.979, [0.96, 0.97]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low, high, 0.0, 100.0).ticks() == pytest.approx(ticks)


def test_what_is_counted_has_whole_ticks() -> None:
    drawn = parsed(svg(chart(Point(1.0, 0.25), Point(2.0, 0.75))))
    said = [
        element.text for element in drawn.iter("text") if element.get("text-anchor") == "middle"
    ]
    assert said == ["1", "2", "trials", "score"]


def test_values_over_three_powers_of_ten_have_a_logarithmic_scale() -> None:
    scale = Scale.of([1.0, 1e4], 0.0, 100.0)
    assert scale.is_log and scale.ticks() == [1.0, 10.0, 100.0, 1000.0, 10000.0]
    assert scale.at(10.0) - scale.at(1.0) == pytest.approx(scale.at(1e4) - scale.at(1e3))
    assert not Scale.of([0.0, 1e4], 0.0, 100.0).is_log, "zero has no logarithm"
    assert not Scale.of([1.0, 1e4], 0.0, 100.0, zero=True).is_log


@pytest.mark.parametrize("values", [[], [3.0], [0.0], [float("nan"), float("inf")]])
def test_a_scale_of_nothing_is_one(values: list[float]) -> None:
    scale = Scale.of(values, 0.0, 100.0)
    assert scale.low < scale.high and scale.ticks()


def test_numbers_are_as_people_write_them() -> None:
    assert [written(v) for v in (0.98765, 1234.0, 25_600_000.0, 12_000.0, 0.0)] == [
        "0.9877",
        "1234",
        "25.6M",
        "12k",
        "0",
    ]


def test_marks_lie_where_their_values_are() -> None:
    """x from 64 to 704, y from 274 up to 12, each with 5 % room on both sides."""
    root = parsed(svg(chart(Point(0.0, 0.0), Point(10.0, 1.0), Point(5.0, 0.5))))
    places = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter("circle")]
    width, height = 640.0, 262.0
    assert places[0] == pytest.approx((64 + width * 0.5 / 11, 274 - height * 0.05 / 1.1), abs=0.1)
    assert places[1] == pytest.approx((64 + width * 10.5 / 11, 274 - height * 1.05 / 1.1), abs=0.1)
    assert places[2] == pytest.approx((64 + width / 2, 274 - height / 2), abs=0.1)


def test_steps_go_right_and_then_up() -> None:
    series = Series("s", (Point(0.0, 0.0), Point(10.0, 1.0)), "steps")
    (path,) = parsed(svg(chart(series=(series,)))).iter("path")
    numbers = [float(n) for n in re.findall(r"[\d.]+", path.get("d", ""))]
    (x0, y0), (x1, y1), (x2, y2) = zip(numbers[::2], numbers[1::2], strict=True)
    assert (y0, x1) == (y1, x2) and x0 < x1 and y2 < y1


def test_an_interval_is_a_band_and_belongs_to_the_axis() -> None:
    line = Reference("winner", 0.9, 0.5, 1.3)
    drawn = parsed(svg(chart(Point(0.0, 0.9), references=(line,))))
    (band,) = [r for r in drawn.iter("rect") if "chart-band" in r.get("class", "")]
    top, height = float(band.get("y", 0)), float(band.get("height", 0))
    assert top > 12 and top + height < 274, "both ends are inside of the picture"
    assert height == pytest.approx(262 * 0.8 / 0.88, abs=0.2)  # 0.5..1.3 with 5 % room


def test_no_text_becomes_markup() -> None:
    drawn = svg(
        chart(
            Point(1.0, 1.0),
            title=HOSTILE,
            x=HOSTILE,
            y=HOSTILE,
            series=(Series(HOSTILE, (Point(1.0, 1.0),), "points"),),
            references=(Reference(HOSTILE, 1.0),),
        ),
        alone=True,
    )
    root = parsed(drawn)
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    assert sum("<script>" in (e.text or "") for e in root.iter()) >= 5, "shown as text"
    bars = parsed(svg(Bars("b", HOSTILE, "how", HOSTILE, (Bar(HOSTILE, 1.0, note=HOSTILE),))))
    assert "script" not in {element.tag for element in bars.iter()}


def test_a_picture_has_no_style_of_its_own_but_where_it_stands_alone() -> None:
    inside, alone = (parsed(svg(chart(Point(1.0, 1.0)), alone=alone)) for alone in (False, True))
    assert not list(inside.iter("style"))
    assert all("style" not in e.attrib and "href" not in e.attrib for e in inside.iter())
    (sheet,) = alone.iter("{http://www.w3.org/2000/svg}style")
    assert sheet.text == style() and "prefers-color-scheme: dark" in style()
    assert "url(" not in style() and "@import" not in style()
    for tone in range(TONES):
        assert style().count(f"--tone-{tone}: ") == 3, "light, dark and print"


def test_many_points_are_thinned_in_the_picture_and_not_in_the_table() -> None:
    points = tuple(Point(float(x), float(x)) for x in range(10_000))
    drawn = thinned(points)
    assert len(drawn) == DRAWN_POINTS and (drawn[0], drawn[-1]) == (points[0], points[-1])
    steps = {int(b.x - a.x) for a, b in pairwise(drawn)}
    assert steps <= {25, 26}, "evenly"
    whole = chart(*points)
    marks = list(parsed(svg(whole)).iter("circle"))
    assert len(marks) == DRAWN_POINTS + 1, "one of them in the legend"
    assert [row[1] for row in whole.rows()] == [point.x for point in points]


def test_bars_begin_at_zero_on_both_sides_of_it() -> None:
    bars = Bars("b", "B", "how", "rho", (Bar("up", 0.5), Bar("down", -0.5)))
    up, down = [r for r in parsed(svg(bars)).iter("rect") if "chart-bar" in r.get("class", "")]
    zero = float(up.get("x", 0))
    assert float(down.get("x", 0)) + float(down.get("width", 0)) == pytest.approx(zero, abs=0.2)
    assert up.get("width") == down.get("width")
