"""Values that stand for none, as -999 and 9999-12-31 do: told, not taken out."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import text_of
from models.datasets.guessed_kind import Cells
from models.datasets.raw_table import shown
from models.remarks import Remark

_SIDE_BY_SIDE = 3
"""Such values at one end of a column, as 997, 998 and 999."""

_USUAL_DATES = frozenset(
    map(
        datetime.date.fromisoformat,
        "0001-01-01 1753-01-01 1899-12-30 1899-12-31 1900-01-01 1900-01-02 1901-01-01 1970-01-01 "
        "2099-12-31 2100-01-01 2199-12-31 2500-01-01 2999-12-31 3000-01-01 3999-12-31 4000-01-01 "
        "8888-12-31 9999-01-01 9999-09-09 9999-12-30 9999-12-31".split(),
    )
)
_USUAL_NUMBERS = frozenset(
    {-(2**15), 2**15 - 1, 2**16 - 1, -(2**31), 2**31 - 1, 2**32 - 1, 10**6, -(10**6)}
)
_USUAL_DIGITS = re.compile(r"9+[6-9](?:\.9*)?|9+\.9+|7{3,}|8{3,}")


def of_numbers(cells: Cells, *, is_target: bool = False) -> Iterator[Remark]:
    """Numbers such as -999 at an end of a column, more than once and far from all others."""
    yield from _told(cells, _far(cells.numbers, cells.counts, _is_usual_number), is_target)


def of_dates(cells: Cells, dates: NDArray[np.datetime64]) -> Iterator[Remark]:
    """Dates such as 9999-12-31, in the same way; a usual one may stand alone.

    Shapes:
        dates: (distinct texts,), NaT where a cell shows none
    """
    seconds = dates.astype("datetime64[s]").astype(np.int64)
    values = np.where(np.isnat(dates), np.nan, seconds.astype(np.float64))
    yield from _told(cells, _far(values, cells.counts, _is_usual_date, alone=1.0), False)


def _is_usual_number(value: float) -> bool:
    """9s, perhaps with another digit from 6 on at the end, 777 and 888, and ends of integers."""
    digits = f"{abs(value):.15g}"
    return value in _USUAL_NUMBERS or _USUAL_DIGITS.fullmatch(digits) is not None


def _is_usual_date(seconds: float) -> bool:
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=int(seconds // 86_400))
    return day in _USUAL_DATES


def _far(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    is_usual: Callable[[float], bool],
    alone: float = math.inf,
) -> NDArray[np.int64]:
    """The places of the values at either end that are far from the rest. Far is what follows of
    the rest's own spread: half of it for usual ones that are there more than once, three times for
    others that are there three times; `alone`: for a usual one that is there once.

    Shapes:
        values: (N,), NaN where there is none; counts: (N,) -> (places,)
    """
    known = np.flatnonzero(np.isfinite(values))
    found = [np.zeros(0, dtype=np.int64)]
    while True:
        for sign in (1.0, -1.0):
            more = _at_an_end(sign * values[known], counts[known], sign, is_usual, alone)
            if len(more):
                found.append(known[more])
                known = np.delete(known, more)
                break
        else:
            return np.concatenate(found)


def _at_an_end(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    sign: float,
    is_usual: Callable[[float], bool],
    alone: float,
) -> NDArray[np.int64]:
    """The places of the largest one, or of up to three side by side, if they are far. `sign`: what
    the values were multiplied by.
    """
    chosen = np.zeros(len(values), dtype=bool)
    usual = True
    for _ in range(_SIDE_BY_SIDE):
        if chosen.all():
            break
        end = values == values[~chosen].max()
        usual = usual and is_usual(sign * float(values[end][0]))
        chosen |= end
        often = int(counts[end].sum())
        least = 3.0 if not usual else 0.5 if often > 1 else alone
        if math.isinf(least) or (not usual and often < 3):
            break
        rest = np.sort(values[~chosen])
        outer = len(rest) // 100
        if len(rest) < 2:
            break
        if values[chosen].min() - rest[-1] >= least * (rest[-1 - outer] - rest[outer]):
            return np.flatnonzero(chosen)
    return np.zeros(0, dtype=np.int64)


def _told(cells: Cells, chosen: NDArray[np.int64], is_target: bool) -> Iterator[Remark]:
    if not len(chosen):
        return
    places = sorted(chosen.tolist(), key=lambda place: -int(cells.counts[place]))[:6]
    shapes = [(cells.distinct[place], text_of(float(cells.numbers[place]))) for place in places]
    words = list(dict.fromkeys(word for pair in shapes for word in pair if word))
    each = ", ".join(f"{shown(cells.distinct[p])} ({cells.counts[p]} times)" for p in places)
    count = int(cells.counts[chosen].sum())
    message = f"{cells.name!r} has cells far from all others, which may say nothing: {each}"
    if is_target:
        message += "; if so, their rows should be left out of the file"
    else:
        message += f"; if so, missing={words} has such cells, of every column, count as missing"
    yield Remark("sentinel_values", message, cells.name, count)
