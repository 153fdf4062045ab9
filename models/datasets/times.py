"""When the rows of a series are: times as people write them, their usual step, and its gaps."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.datasets.amounts import clock_of, number_of
from models.datasets.guessed_kind import DATE_LIKE_NUMBER, DAY_FIRST_NUMBER, are_double_years
from models.datasets.inputs import Dates
from models.datasets.kinds import WrongKindError, read_column
from models.datasets.many_cells import ORDERS, dates_in, dates_of
from models.datasets.raw_table import FIRST_ROW, Texts, shown, strings
from models.datasets.steps import (
    MONTH_NUMBERS,
    TOLERANCE,
    beginning_of,
    instant_of,
    offset_of,
    on_grid,
    step_of,
)
from models.remarks import Remark

_ZONED = r"(?i)\d\s*(z|utc)$|:\d\d(\.\d+)?\s*[-+]\d\d:?(\d\d)?$"
_INTERVAL = r"(?s)\d.*(/|\s(-|\x{2013}|\x{2014}|to|bis)\s).*(:\d\d|\d[./-]\d)"
"""What every interval has, and few other times."""
_FRACTION = r"\d:\d\d:\d\d[.,]\d"
_LONG_YEAR = r"^(\d{4}|$)"
_BUDDHIST = r"^2[45]\d\d-"
"""Years that `kinds` has to look at."""
_DAY = 86_400.0
_MONTH_NUMBER = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])")
"""A year and a month in six digits."""


@dataclass(frozen=True, slots=True)
class Times:
    """`order` is that of day and month, where they are not written as in ISO 8601; `month_end`
    says that months are dated by their last day, `is_zoned` that times have a zone, which counts,
    `is_clock` that numbers are the seconds of clocks.

    Shapes:
        values: (T,) in `unit`: number, seconds, weekdays or months, since some beginning
        instants: (T,), None where times are numbers
    """

    values: NDArray[np.float64]
    unit: str
    order: str | None = None
    remarks: tuple[Remark, ...] = ()
    instants: NDArray[np.datetime64] | None = None
    month_end: bool = False
    is_zoned: bool = False
    is_clock: bool = False


def read_times(name: str, texts: Texts, decimal: str, *, are_dates: bool = False) -> Times:
    """The times of a column: numbers, or dates in every form that a table may have. `are_dates`:
    numbers are such too, since 1970 or of a spreadsheet.

    Raises:
        ValueError: with the first row that has none.
    """
    texts, remarks = _beginnings(name, texts)
    found = _read_times(name, texts, decimal, are_dates=are_dates)
    return replace(found, remarks=(*remarks, *found.remarks))


def _beginnings(name: str, texts: Texts) -> tuple[Texts, list[Remark]]:
    """Intervals as the instants at which they begin."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring_regex(texts, _INTERVAL)).as_py():
        return texts, []
    distinct = texts.unique().to_pylist()
    begun = {text: beginning for text in distinct if (beginning := beginning_of(text)) != text}
    if not begun:
        return texts, []
    first = next(iter(begun))
    message = f"times are intervals, taken at their beginning: {shown(first)} is {begun[first]}"
    begin = pa.chunked_array([[begun.get(text, text) for text in texts.to_pylist()]], pa.string())
    return begin, [Remark("time_intervals", message, name, len(begun))]


def _read_times(name: str, texts: Texts, decimal: str, *, are_dates: bool) -> Times:
    written = strings(texts)
    distinct = np.unique(written).tolist()
    if are_double_years(distinct):
        raise ValueError(
            f"the times {name!r} are two years each, as {shown(distinct[0])}, or months; a year is "
            f"written as {distinct[0][:4]}, a month as {distinct[0][:4]}-01-31"
        )
    in_digits = any(
        all(map(pattern.fullmatch, distinct)) for pattern in (DATE_LIKE_NUMBER, DAY_FIRST_NUMBER)
    )
    if are_dates or in_digits:
        return _local(name, texts, decimal, written)
    if _are_months(distinct):
        return _months(name, written)
    is_number = number_of(distinct[0], decimal) is not None
    read = {text: number_of(text, decimal) for text in distinct} if is_number else {}
    if read and all(number is not None for number in read.values()):
        return Times(np.array([read[text] for text in written.tolist()], np.float64), "number")
    if clock_of(distinct[0]) is not None:
        seconds = {text: clock_of(text) for text in distinct}
        if None not in seconds.values():
            return _passed(name, written, seconds)
    found = _iso(name, texts, written)
    if found is None:
        return _local(name, texts, decimal, written)
    instants, is_zoned = found
    if np.isnat(instants).any():
        row = int(np.flatnonzero(np.isnat(instants))[0]) + FIRST_ROW
        raise ValueError(f"row {row}, column {name!r}: the time is missing")
    return replace(_counted(instants, None, ()), is_zoned=is_zoned)


def _passed(name: str, written: NDArray[Any], seconds: Mapping[str, float | None]) -> Times:
    """Clocks without a day: the seconds that have passed."""
    first = str(written[0])
    message = (
        f"the times {name!r} are clocks, read in seconds: {shown(first)} as {seconds[first]:g}"
    )
    values = np.array([seconds[text] for text in written.tolist()], np.float64)
    remark = Remark("clock_times", message, name, len(values))
    return Times(values, "number", remarks=(remark,), is_clock=True)


def _are_months(distinct: Sequence[str]) -> bool:
    """Whether all are a year and a month in six digits, of more than one year."""
    if not all(_MONTH_NUMBER.fullmatch(text) for text in distinct):
        return False
    return len({text[:4] for text in distinct}) > 1


def _months(name: str, written: NDArray[Any]) -> Times:
    first = str(written[0])
    message = f"{name!r} is read as years and months: {first} is {first[:4]}-{first[4:]}"
    instants = np.array([f"{text[:4]}-{text[4:]}" for text in written], dtype="datetime64[D]")
    return _counted(instants, MONTH_NUMBERS, (Remark("date_numbers", message, name),))


def _iso(
    name: str, texts: Texts, written: NDArray[Any]
) -> tuple[NDArray[np.datetime64], bool] | None:
    """Instants of ISO 8601, with fractions of a second, and whether they have zones; None where one
    is none.

    Raises:
        ValueError: some have a zone and some have none.
    """
    import pyarrow.compute as pc

    is_near = not pc.any(pc.match_substring_regex(texts, _BUDDHIST)).as_py()
    if not is_near or not pc.all(pc.match_substring_regex(texts, _LONG_YEAR)).as_py():
        return None  # numpy would have 26-01-31 in the year 26
    try:
        if not pc.any(pc.match_substring_regex(texts, _ZONED)).as_py():
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of a zone, which numpy sees in signs after a time
                return written.astype("datetime64[us]"), False
        found = [datetime.datetime.fromisoformat(text) for text in written.tolist()]
        utc = [t.astimezone(datetime.UTC).replace(tzinfo=None) if t.tzinfo else t for t in found]
    except (ValueError, OverflowError, UserWarning):
        return None
    without = [row for row, time in enumerate(found) if time.tzinfo is None]
    if without:
        raise ValueError(
            f"row {without[0] + FIRST_ROW}, column {name!r}: {shown(str(written[without[0]]))} has "
            "no zone, others have one"
        )
    return np.array(utc, dtype="datetime64[us]"), True


def _local(name: str, texts: Texts, decimal: str, written: NDArray[Any]) -> Times:
    import pyarrow.compute as pc

    wrong = (
        "is no date; dates are written as 2026-01-31, 2026-01-31 12:00:00, 31.1.2026, 2026-01, "
        "2026-W05 or 2026-Q1"
    )
    try:
        found = read_column(name, texts, decimal=decimal, wanted="date")
    except WrongKindError:
        raise ValueError(
            f"row {FIRST_ROW}, column {name!r}: {shown(str(written[0]))} {wrong}"
        ) from None
    values = found.entry.values if isinstance(found.entry, Dates) else None
    if values is None or np.isnat(values).any():
        row = 0 if values is None else int(np.flatnonzero(np.isnat(values))[0])
        raise ValueError(
            f"row {row + FIRST_ROW}, column {name!r}: {shown(str(written[row]))} {wrong}"
        )
    order, remarks = str(found.extra["order"]), list(found.remarks)
    if any(remark.code == "date_order_guessed" for remark in remarks):
        order, values = _by_steps(texts, order, values)
        if order != found.extra["order"]:
            remarks = [r for r in remarks if r.code != "date_order_guessed"]
            remarks.append(_of_order(name, order))
    distinct, places = np.unique(written, return_inverse=True)
    is_zoned = _has_zones(distinct.tolist())
    remarks = [r for r in remarks if not (is_zoned and r.code == "zones_ignored")]
    has_fractions = pc.any(pc.match_substring_regex(texts, _FRACTION)).as_py()
    if is_zoned or has_fractions or order.endswith("seconds"):
        instants = [instant_of(text, order, is_zoned=is_zoned) for text in distinct.tolist()]
        values = np.array(instants, dtype="datetime64[us]")[places]
    return replace(_counted(values, order, tuple(remarks)), is_zoned=is_zoned)


def _by_steps(
    texts: Texts, guess: str, values: NDArray[np.datetime64]
) -> tuple[str, NDArray[np.datetime64]]:
    """The order of day and month by which most steps are like the usual one, and the times in it:
    hours of one day go on on the next, and not a month later.
    """
    if guess.startswith("buddhist_"):
        read = {f"buddhist_{order}": dates_in(texts, f"buddhist_{order}") for order in ORDERS}
    else:
        read = dates_of(texts.combine_chunks())
    read = {guess: values} | {o: dates for o, dates in read.items() if not np.isnat(dates).any()}
    shares = {}
    for order, dates in read.items():
        steps = np.diff(np.unique(dates)).astype(np.int64).astype(np.float64)
        shares[order] = (
            float(np.mean(_is_usual(steps, float(np.median(steps))))) if len(steps) else 0.0
        )
    best = max(shares, key=lambda order: (shares[order], order == guess))
    return best, read[best]


def _of_order(name: str, order: str) -> Remark:
    letters = order.removeprefix("buddhist_")
    words = ", ".join({"d": "day", "m": "month", "y": "year"}[letter] for letter in letters)
    message = (
        f"the dates of {name!r} can be read in two ways; read as {words}, which has even steps"
    )
    return Remark("date_order_guessed", message, name)


def _has_zones(distinct: Sequence[str]) -> bool:
    """Whether all times have a zone that is known, and not all the same."""
    if offset_of(distinct[0]) is None:
        return False
    offsets = set(map(offset_of, distinct))
    return None not in offsets and len(offsets) > 1


def _counted(
    instants: NDArray[np.datetime64], order: str | None, remarks: tuple[Remark, ...]
) -> Times:
    """In months where all are on one day of their month, or on its last, and in days of the week
    from Monday to Friday where there are no others; else in seconds.
    """
    days, months = instants.astype("datetime64[D]"), instants.astype("datetime64[M]")
    instants, unit, month_end = instants.astype("datetime64[us]"), "seconds", False
    if (instants == days).all():
        of_month = (days - months.astype("datetime64[D]")).astype(np.int64)
        last = (months + 1).astype("datetime64[D]") - 1
        weekday = (days.astype(np.int64) + 3) % 7
        steps = np.diff(np.unique(days)).astype(np.int64)
        month_end = bool((days == last).all())
        if len(steps) > 1 and ((of_month == of_month[0]).all() or month_end):
            unit = "months"
        elif (weekday < 5).all() and len(steps) > 5 and np.median(steps) == 1:
            unit = "weekdays"
    month_end = month_end and unit == "months"
    return Times(_values(instants, unit), unit, order, remarks, instants, month_end)


def _values(instants: NDArray[np.datetime64], unit: str) -> NDArray[np.float64]:
    if unit == "months":
        return instants.astype("datetime64[M]").astype(np.int64).astype(np.float64)
    if unit == "weekdays":
        days = instants.astype("datetime64[D]")
        return np.busday_count(days.min(), days).astype(np.float64)
    return instants.astype("datetime64[us]").astype(np.int64) / 1e6


def gridded(times: Times, frequency: str) -> tuple[Times, float]:
    """The step of the grid that each time lies in, and the day since 1970 at whose midnight the
    grid begins, that of the first time.

    Raises:
        ValueError: the times are numbers.
    """
    if times.instants is None:
        raise ValueError("the times are numbers, and a frequency is of dates")
    origin = float(times.instants.min().astype("datetime64[D]").astype(np.int64))
    written, places = np.unique(times.instants, return_inverse=True)
    steps = np.array([on_grid(t, frequency, origin) for t in written.tolist()], "datetime64[us]")
    unit = step_of(frequency)[1]
    values = _values(steps, unit)[places]
    is_end = frequency.strip() == "ME"
    return replace(
        times, values=values, unit=unit, instants=steps[places], month_end=is_end
    ), origin


def usual_step(times: NDArray[np.float64], begins: NDArray[np.bool_]) -> float | None:
    """The step from a row to the next that most rows have, the median; None where fewer than half
    have one like it. `begins`: rows that begin a series.
    """
    steps = np.sort(np.diff(times)[~begins[1:]])
    if not len(steps):
        return None
    step = float(steps[len(steps) // 2])
    return step if np.mean(_is_usual(steps, step)) >= 0.5 else None


def follows(
    times: NDArray[np.float64], begins: NDArray[np.bool_], step: float | None
) -> NDArray[np.bool_]:
    """Whether a row is one usual step after the row before, in the same series."""
    found = ~begins
    if step is not None:
        found[1:] &= _is_usual(np.diff(times), step)
    return found


def _is_usual(steps: NDArray[np.float64], step: float) -> NDArray[np.bool_]:
    return np.abs(steps - step) <= TOLERANCE * step


def in_words(step: float, unit: str) -> str:
    """A step as a person says it."""
    if unit == "seconds":
        for size, name in ((_DAY, "days"), (3600.0, "hours"), (60.0, "minutes")):
            if step % size == 0:
                step, unit = step / size, name
                break
    if unit == "number":
        return f"{step:g}"
    return f"{step:g} {unit.removesuffix('s') if step == 1 else unit}"


class Order(NamedTuple):
    """Rows of each group in turn, oldest first; those of one time are together.

    turned: rows that were written newest first. copied: rows that are there already, word for word.
    put_back: rows whose times are there already, as clocks were put back.

    Shapes:
        rows: (T,)
    """

    rows: NDArray[np.int64]
    turned: int = 0
    copied: int = 0
    put_back: int = 0


def ascending(
    name: str,
    times: Times,
    groups: Sequence[NDArray[np.int64]],
    texts: Texts,
    copies: Callable[[], NDArray[np.bool_]],
    *,
    are_merged: bool,
) -> Order:
    """
    copies: which rows are there already, word for word.
    are_merged: rows of one time are one, and may follow each other.

    Raises:
        ValueError: the times of a group are in no order, or one stands there twice; with its row.
    """
    turned, copied, put_back, ordered = 0, 0, 0, []
    values = times.values
    for rows in groups:
        steps = np.diff(values[rows])
        if (steps < 0).sum() > (steps > 0).sum():
            rows, turned = rows[::-1], turned + len(rows)
        if (np.diff(values[rows]) <= 0).any():
            rest = rows[~copies()[rows]]
            wrong = np.flatnonzero(np.diff(values[rest]) <= 0)
            if len(wrong) and not (are_merged and (np.diff(values[rest]) >= 0).all()):
                if times.instants is None or not _are_put_back(times.instants[rest]):
                    before, row = (int(rest[wrong[0] + place]) for place in (0, 1))
                    _refuse(name, before, row, texts, is_same=values[before] == values[row])
                put_back += len(rest) - len(np.unique(values[rest]))
            copied += len(rows) - len(rest)
            rows = rows[np.argsort(values[rows], kind="stable")]
        ordered.append(rows)
    return Order(np.concatenate(ordered), turned, copied, put_back)


def _are_put_back(instants: NDArray[np.datetime64]) -> bool:
    """Whether times of an hour or less after each other go back once a year alone, by less than an
    hour, in the night of a Sunday: as clocks do at the end of summer.
    """
    steps, hour = np.diff(instants), np.timedelta64(1, "h")
    at = instants[1:][steps <= np.timedelta64(0)]
    days = at.astype("datetime64[D]")
    is_sunday = (days.astype(np.int64) + 3) % 7 == 6
    return bool(
        np.median(np.abs(steps)) <= hour
        and (steps > -hour).all()
        and is_sunday.all()
        and (at - days < 4 * hour).all()
        and len(np.unique(at.astype("datetime64[Y]"))) == len(at)
    )


def _refuse(name: str, before: int, row: int, texts: Texts, *, is_same: bool) -> None:
    apart = "options.series names the column, or columns, that tell several series apart"
    if is_same:
        row, before = max(row, before), min(row, before)
        raise ValueError(
            f"row {row + FIRST_ROW}, column {name!r}: {texts[row].as_py()} is in row "
            f"{before + FIRST_ROW} too; {apart}, options.frequency takes the mean of what is of "
            "one step"
        )
    raise ValueError(
        f"row {row + FIRST_ROW}, column {name!r}: {texts[row].as_py()} is not later than "
        f"{texts[before].as_py()} in row {before + FIRST_ROW}; rows stand in the order of their "
        f"times, {apart}"
    )
