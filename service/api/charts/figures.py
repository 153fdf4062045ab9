"""What a chart shows, as values; `service.api.charts.svg` draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Cell = str | float | None
Form = Literal["line", "steps", "points"]


@dataclass(frozen=True, slots=True)
class Point:
    """`low` and `high`: an interval around `y`; None without one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """`tone`: its colour, and its dashes or the form of its marks; None: as many as there are."""

    name: str
    points: tuple[Point, ...]
    form: Form = "line"
    tone: int | None = None
    in_legend: bool = True


@dataclass(frozen=True, slots=True)
class Reference:
    """A line across the chart at `value`, and a band around it where there is an interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over two axes. `name` is stable, for addresses; `says`: how to read it.

    diagonal: a line where both axes have the same value.
    """

    name: str
    title: str
    says: str
    x: str
    y: str
    series: tuple[Series, ...]
    references: tuple[Reference, ...] = ()
    diagonal: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return ("series", self.x, self.y, "low", "high")

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The data, every point of it."""
        for series in self.series:
            for point in series.points:
                yield series.name, point.x, point.y, point.low, point.high
        for line in self.references:
            yield line.name, None, line.value, line.low, line.high


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """A named value a row, from zero on (`bar`), or a mark where the value is (`dot`)."""

    name: str
    title: str
    says: str
    x: str
    bars: tuple[Bar, ...]
    form: Literal["bar", "dot"] = "bar"
    reference: Reference | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return ("name", self.x, "low", "high", "note")

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        for bar in self.bars:
            yield bar.name, bar.value, bar.low, bar.high, bar.note
        if (line := self.reference) is not None:
            yield line.name, line.value, line.low, line.high, "line"


Figure = Chart | Bars
