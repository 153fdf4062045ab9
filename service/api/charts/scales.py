"""Where a value lies on an axis, and which values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

TICKS = 5
_LOG_FROM = 1000.0
"""An axis of positive values whose largest is so many times the smallest goes by powers of ten."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low`..`high` to `start`..`end`, in pixels. `is_whole`: of values that are counted."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, *, zero: bool = False) -> Scale:
        """Of all finite `values`, with room around them; `zero`: from zero on, or down to it."""
        known = [value for value in values if math.isfinite(value)]
        if zero:
            known.append(0.0)
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if not zero and low > 0 and high / low >= _LOG_FROM:
            return cls(low / 1.3, high * 1.3, start, end, is_log=True)
        if low == high:
            room = abs(low) * 0.1 or 0.5
            return cls(low - room, high + room, start, end)
        room = (high - low) * 0.05
        return cls(
            low if zero and low == 0 else low - room,
            high if zero and high == 0 else high + room,
            start,
            end,
        )

    def at(self, value: float) -> float:
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.is_log
            else (value - self.low) / (self.high - self.low)
        )
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside of it, some five of them."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, round((last - first) / TICKS))
            return [10.0**power for power in range(first, last + 1, every)]
        step = _round_step((self.high - self.low) / TICKS)
        step = max(1.0, step) if self.is_whole else step
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [count * step for count in range(first, last + 1)]


def written(value: float) -> str:
    """A number as people read it: four digits, and large ones with a letter."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:.4g}"


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least * (1 - 1e-9))
