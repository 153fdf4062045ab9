"""A column read as the kind that it is: by what most of its cells say, by the file's own types, or
by a person's word. What is guessed, left out or unreadable is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import sentinels
from models.datasets.cells import (
    EMPTY_WORDS,
    MISSING_WORDS,
    boolean_of,
)
from models.datasets.guessed_kind import (
    CODE,
    DATE_LIKE_NUMBER,
    DAY_FIRST_NUMBER,
    MIXED,
    MOST,
    Cells,
    cells_of,
    guessed_kind,
    names_things,
)
from models.datasets.inputs import (
    Booleans,
    Categories,
    Dates,
    Input,
    LongTexts,
    Numbers,
)
from models.datasets.many_cells import dates_in, dates_of, matches
from models.datasets.raw_table import FIRST_ROW, Texts, shown
from models.datasets.spellings import of_categories
from models.datasets.written_numbers import are_shares, as_written, is_beyond, of_writing
from models.remarks import Column, Kind, Remark, Role, in_number

PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
"""A number that needs no interpretation, which `pyarrow` reads at once."""

_ZONE = re.compile(
    r"(?i):\d\d(?:\.\d+)?\s*(z|utc|gmt|[a-z]{2,5}|(?:gmt|utc)?[-+]\d\d:?(?:\d\d)?)\b"
)
_LONG_YEAR = re.compile(r"\d{4}")
_DAY_OF_YEAR = re.compile(r"\d{4}-\d{3}(?!\d).*|(?:19|20)\d{5}")
_BUDDHIST = (2443, 2643)
"""Years that are 1900 to 2100."""
_USUAL_YEARS = (1600, 2200)
_FAR_YEAR = 9000
"""From here on, a date stands for none: `sentinels` tells it."""


class WrongKindError(ValueError):
    """A person calls a column what it cannot be."""


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """`entry`: its cells, as far as they can be read; None for a column that is left out.
    `extra`: what `preprocessing.json` says of how its cells are read.
    """

    column: Column
    entry: Input | None
    extra: dict[str, Any]
    remarks: tuple[Remark, ...] = ()


def read_column(
    name: str,
    texts: Texts,
    *,
    decimal: str,
    of_file: Kind | None = None,
    wanted: str | None = None,
    missing: Sequence[str] | None = None,
) -> ReadColumn:
    """A column read as the kind that it is.

    wanted: what a person calls it, `ignore` included.
    missing: the words of cells without a value; None: those of its kind.

    Raises:
        WrongKindError: no cell is of the kind that is wanted.
    """
    words = None if missing is None else ("", *(word.strip().lower() for word in missing))
    cells = cells_of(name, texts, decimal, words or MISSING_WORDS)
    guessed = wanted in ("identifier", "constant")
    found = _read(cells, decimal, of_file, None if guessed else wanted, words)
    if wanted in ("ignore", "identifier"):
        kind = found.column.kind if wanted == "ignore" else Kind.IDENTIFIER
        note = "left out, as the options say"
        column = replace(found.column, kind=kind, role=Role.IGNORED, note=note)
        return ReadColumn(column, None, {})
    if wanted == "constant" and found.column.kind is not Kind.CONSTANT:
        values = ", ".join(map(shown, [text for text in cells.distinct if text][:3]))
        raise WrongKindError(f"{name!r} is not constant: it has {values} and so on")
    return found


def _read(
    cells: Cells,
    decimal: str,
    of_file: Kind | None,
    wanted: str | None,
    words: tuple[str, ...] | None,
) -> ReadColumn:
    """`decimal`: the sign of the file."""
    missing = cells.is_missing
    if wanted in (None, "ignore") and (constant := _constant(cells, missing)) is not None:
        return constant
    kind = Kind(wanted) if wanted not in (None, "ignore") else of_file
    if kind is None or (kind is Kind.NUMBER and wanted != "number"):
        guess = guessed_kind(cells, missing)
        is_other = guess in (Kind.CATEGORY, Kind.TEXT)  # of numbers most of which are infinite
        kind = Kind.NUMBER if kind is Kind.NUMBER and is_other else guess
    if of_file is None and kind not in (Kind.BOOLEAN, Kind.DATE):
        cells, kind = as_written(cells, missing, kind, wanted)
    if kind is Kind.NUMBER and wanted != "number" and _is_one_or_missing(cells):
        kind = Kind.CATEGORY
    if kind is Kind.NUMBER:
        return _number(cells, missing, decimal)
    if kind is Kind.BOOLEAN:
        return _boolean(cells, missing)
    if kind is Kind.DATE:
        return _date(cells, missing, is_wanted=wanted == "date")
    if wanted in (None, "ignore") and names_things(cells, missing):
        return _things(cells, kind)
    found = _words(replace(cells, words=words or EMPTY_WORDS), kind)
    if kind is not Kind.CATEGORY or wanted == "category":
        return found
    return replace(found, remarks=(*found.remarks, *_of_mixed(cells, missing)))


def _things(cells: Cells, kind: Kind) -> ReadColumn:
    """A column of numbers that name whom or what a row is of."""
    found = _words(cells, kind)
    if kind is not Kind.CATEGORY:
        return found
    name, count = cells.name, found.column.distinct
    message = (
        f"{name!r} names {count} things by numbers, each in several rows, and is read as a "
        "category; columns says otherwise, and group_column has the rows of each in one split"
    )
    remark = Remark("repeated_identifier", message, name, count)
    return replace(found, remarks=(remark, *found.remarks))


def _is_one_or_missing(cells: Cells) -> bool:
    """Whether a column holds one number or none, as a box that is ticked: which of both counts."""
    numbers = cells.numbers[np.isfinite(cells.numbers)]
    return len(numbers) > 0 and bool((numbers == numbers[0]).all()) and bool(cells.is_missing.any())


def _constant(cells: Cells, missing: NDArray[np.bool_]) -> ReadColumn | None:
    """A column whose cells all say the same, or nothing."""
    known = [text for text, empty in zip(cells.distinct, missing, strict=True) if not empty]
    if len(known) > 1 or (known and missing.any()):
        return None
    where, count = cells.name, int(cells.counts.sum())
    if known:
        note, code = f"left out: every cell is {shown(known[0])}", "constant_column"
    else:
        note, code = "left out: no cell has a value", "empty_column"
    empty = 0 if known else count
    column = Column(
        where, Kind.CONSTANT, Role.IGNORED, empty, len(known), known[0] if known else None, note
    )
    return ReadColumn(column, None, {}, (Remark(code, f"{where!r} is {note}", where, count),))


def _order(
    cells: Cells, dates: Mapping[str, NDArray[np.datetime64]], missing: NDArray[np.bool_]
) -> tuple[str, bool]:
    """In which order day, month and year are, and whether that is a guess: where two orders read
    as many cells and differ, or the other one reads a cell that this one cannot. The year stands
    first where dates are then closest together; else days come before months but with slashes.
    """
    known = {order: found[~missing] for order, found in dates.items()}
    read = {order: int((~np.isnat(found)).sum()) for order, found in known.items()}
    most = max(read.values())
    able = [order for order, count in read.items() if count == most]
    slashes = any("/" in cells.distinct[place] for place in np.flatnonzero(~missing))
    order = "mdy" if slashes and "mdy" in able else able[0]
    if all(_are_equal(known[order], known[other]) for other in able):
        order = able[0]
    elif "ymd" in able and all(_span(known["ymd"]) < _span(known[o]) for o in able if o != "ymd"):
        order = "ymd"
    is_guess = any(
        not _are_equal(known[order], found)
        and (other in able or bool((np.isnat(known[order]) & ~np.isnat(found)).any()))
        for other, found in known.items()
    )
    return order, is_guess


def _are_equal(first: NDArray[np.datetime64], second: NDArray[np.datetime64]) -> bool:
    return bool(((first == second) | (np.isnat(first) & np.isnat(second))).all())


def _span(dates: NDArray[np.datetime64]) -> np.timedelta64:
    known = dates[~np.isnat(dates)]
    span: np.timedelta64 = known.max() - known.min()
    return span


def _number(cells: Cells, missing: NDArray[np.bool_], decimal: str) -> ReadColumn:
    numbers = cells.numbers
    bad = ~missing & np.isnan(numbers)
    if np.isnan(numbers).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is a number")
    finite = numbers[np.isfinite(numbers)]
    extra = {"decimal": cells.decimal, "missing": list(cells.words), **cells.form}
    if are_shares(cells):
        extra["shares"] = True
    remarks = (*_bad_cells(cells, bad, "number"), *of_writing(cells, decimal))
    count = int(cells.counts[missing | bad].sum())
    if float(finite.std()) <= 1e-12 * float(np.abs(finite).max()) and not count:
        every = "every cell is" if len(cells.distinct) == 1 else "cells hardly differ, as"
        note = f"left out: {every} {shown(cells.distinct[0])}"
        column = _column(cells, Kind.CONSTANT, missing | bad, note, Role.IGNORED)
        remark = Remark("constant_column", f"{cells.name!r} is {note}", cells.name)
        return ReadColumn(column, None, {}, (remark,))
    column = _column(cells, Kind.NUMBER, missing | bad)
    remarks += tuple(sentinels.of_numbers(cells))
    return ReadColumn(column, Numbers(cells.spread(numbers)), extra, remarks)


def _boolean(cells: Cells, missing: NDArray[np.bool_]) -> ReadColumn:
    values = np.array([boolean_of(text) for text in cells.distinct], dtype=np.float64)
    values[missing] = np.nan
    if np.isnan(values).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is yes or no")
    bad = ~missing & np.isnan(values)
    column = _column(cells, Kind.BOOLEAN, missing | bad)
    extra = {"missing": list(cells.words)}
    remarks = _bad_cells(cells, bad, "boolean")
    return ReadColumn(column, Booleans(cells.spread(values)), extra, remarks)


def _date(cells: Cells, missing: NDArray[np.bool_], *, is_wanted: bool) -> ReadColumn:
    remarks: list[Remark] = []
    if is_wanted and (order := _order_of_numbers(cells, missing)) is not None:
        dates, is_guess = {order: dates_in(cells.texts, order)}, False
        since = "as days of a spreadsheet" if order == "excel" else f"as {order} since 1970"
        remarks.append(Remark("date_numbers", f"{cells.name!r} is read {since}", cells.name))
    else:
        dates = dates_of(cells.texts)
        era = ""
        if told_of_era := list(_of_era(cells, dates, missing)):
            era, remarks = "buddhist_", told_of_era
            dates = {order: dates_in(cells.texts, f"buddhist_{order}") for order in dates}
        written, is_guess = _order(cells, dates, missing)
        order = era + written
        dates[order] = dates[written]
    values = np.where(missing, np.datetime64("NaT", "s"), dates[order])
    bad = ~missing & np.isnat(values)
    if np.isnat(values).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is a date")
    remarks += [*_bad_cells(cells, bad, "date"), *_of_dates(cells, values)]
    remarks += sentinels.of_dates(cells, values)
    if is_guess:
        letters = {"d": "day", "m": "month", "y": "year"}
        words = ", ".join(letters[letter] for letter in order.removeprefix("buddhist_"))
        message = f"the dates of {cells.name!r} can be read in two ways; read as {words}"
        remarks.append(Remark("date_order_guessed", message, cells.name))
    column = _column(cells, Kind.DATE, missing | bad, "year, days, season, weekday and time of day")
    extra = {"order": order, "missing": list(cells.words)}
    return ReadColumn(column, Dates(cells.spread(values)), extra, tuple(remarks))


def _of_era(
    cells: Cells, dates: Mapping[str, NDArray[np.datetime64]], missing: NDArray[np.bool_]
) -> Iterator[Remark]:
    """That years count from the Buddha's death, 543 years earlier, as nearly all are such today.

    Shapes:
        dates (by order), missing: (distinct texts,)
    """
    read = max(dates.values(), key=lambda found: int((~np.isnat(found)).sum()))
    known = ~missing & ~np.isnat(read)
    years = _years(read[known])
    if len(years) and np.mean((years >= _BUDDHIST[0]) & (years <= _BUDDHIST[1])) > 0.9:
        first = cells.distinct[int(known.argmax())]
        message = (
            f"the years of {cells.name!r} are read as those of the Buddhist calendar, 543 more: "
            f"{shown(first)} is in {years[0] - 543}"
        )
        yield Remark("buddhist_years", message, cells.name, int(cells.counts[known].sum()))


def _years(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return dates.astype("datetime64[Y]").astype(np.int64) + 1970


def _order_of_numbers(cells: Cells, missing: NDArray[np.bool_]) -> str | None:
    """What numbers that are dates count, by their size; None where they are none."""
    known = [text for text, empty in zip(cells.distinct, missing, strict=True) if not empty]
    numbers = np.abs(cells.numbers[np.isfinite(cells.numbers)])
    if len(numbers) <= MOST * len(known) or _are_days(known):
        return None
    if any(re.match(r"0\d", text) for text in known):
        return None
    sizes = (
        ("nanoseconds", 1e17), ("microseconds", 1e14), ("milliseconds", 1e11), ("seconds", 1e8),
    )  # fmt: skip
    middle = float(np.median(numbers))
    order = next((name for name, least in sizes if middle >= least), None)
    return order or ("excel" if 1 <= middle < 110_000 else None)


def _are_days(known: Sequence[str]) -> bool:
    """Whether all are dates in digits, or a year and a day of it."""
    patterns = (DATE_LIKE_NUMBER, DAY_FIRST_NUMBER, _DAY_OF_YEAR)
    return any(all(map(pattern.fullmatch, known)) for pattern in patterns)


def _of_dates(cells: Cells, values: NDArray[np.datetime64]) -> Iterator[Remark]:
    """What dates leave open.

    Shapes:
        values: (distinct texts,), NaT of those that are none
    """
    is_date = ~np.isnat(values)
    texts = [cells.distinct[place] for place in np.flatnonzero(is_date)]
    short = np.array([_LONG_YEAR.search(text) is None for text in cells.distinct]) & is_date
    if short.any():
        count = int(cells.counts[short].sum())
        message = f"years of two digits in {cells.name!r} are read as 1969 to 2068"
        yield Remark("short_years", message, cells.name, count)
    for pattern, as_what in (
        (DAY_FIRST_NUMBER, "dates in digits"),
        (_DAY_OF_YEAR, "years and days of the year"),
    ):
        if not matches(cells.texts, r"^\d{7,8}(\.0)?$|^\d{4}-\d{3}").any():
            break
        own = np.array([pattern.fullmatch(text) is not None for text in cells.distinct]) & is_date
        if own.any():
            place = int(own.argmax())
            message = f"{shown(cells.distinct[place])} of {cells.name!r} is read as {values[place]}"
            count = int(cells.counts[own].sum())
            yield Remark("date_numbers", f"{message[:-9]}, all as {as_what}", cells.name, count)
            break
    middle = float(np.median(_years(values[is_date])))
    if not _USUAL_YEARS[0] <= middle <= _USUAL_YEARS[1] and middle < _FAR_YEAR:
        message = (
            f"most dates of {cells.name!r} are of years such as {middle:.0f}: they are taken as of "
            "our calendar, and weekdays and seasons are others if they are of another"
        )
        yield Remark("unusual_years", message, cells.name, len(texts))
    zones = {zone[1].lower() for text in texts if (zone := _ZONE.search(text))}
    zones -= {"am", "pm"}
    if zones and any(":" in text and _ZONE.search(text) is None for text in texts):
        zones.add("none")
    if len(zones) > 1:
        shown_zones = ", ".join(sorted(zones)[:5])
        message = f"{cells.name!r} has times of several zones ({shown_zones}), read as local ones"
        yield Remark("zones_ignored", message, cells.name, len(zones))


def _words(cells: Cells, kind: Kind) -> ReadColumn:
    missing = cells.is_missing
    if kind is Kind.IDENTIFIER:
        is_unique = bool((cells.counts[~missing] == 1).all())
        note = f"left out: {'every' if is_unique else 'nearly every'} row has its own"
        column = _column(cells, kind, missing, note, Role.IGNORED)
        message = f"{cells.name!r} names rows and tells nothing of them; columns says otherwise"
        return ReadColumn(column, None, {}, (Remark("identifier_column", message, cells.name),))
    values = np.array(
        ["" if empty else text for text, empty in zip(cells.distinct, missing, strict=True)],
        dtype=object,
    )
    column, extra = _column(cells, kind, missing), {"missing": list(cells.words)}
    if kind is Kind.TEXT:
        return ReadColumn(column, LongTexts(cells.spread(values)), extra)
    known = values[~missing].tolist()
    remarks = tuple(of_categories(cells.name, known, cells.counts[~missing].tolist()))
    return ReadColumn(column, Categories(cells.spread(values)), extra, remarks)


def _of_mixed(cells: Cells, missing: NDArray[np.bool_]) -> Iterator[Remark]:
    """A category many of whose cells are numbers, as where others are <5 or 10-20."""
    is_number = np.isfinite(cells.numbers) & ~missing
    others = ~is_number & ~missing
    count, whole = int(cells.counts[is_number].sum()), int(cells.counts[~missing].sum())
    if count < MIXED * whole or not others.any():
        return
    if any(CODE.fullmatch(cells.distinct[place]) for place in np.flatnonzero(is_number)):
        return
    row = cells.first_row(others)
    text = cells.distinct[int(cells.places[row - FIRST_ROW])]
    message = (
        f"{count} of {whole} cells of {cells.name!r} are numbers and others are not, the first "
        f"{shown(text)} in row {row}: read as a category; columns as number has the others count "
        "as missing"
    )
    yield Remark("mixed_cells", message, f"row {row}, column {cells.name!r}", whole - count)


def _bad_cells(cells: Cells, bad: NDArray[np.bool_], kind: str) -> tuple[Remark, ...]:
    if not bad.any():
        return ()
    count, row = int(cells.counts[bad].sum()), cells.first_row(bad)
    text = cells.distinct[int(cells.places[row - FIRST_ROW])]
    of = f"of {cells.name!r}"
    are = in_number(
        count, f"cell {of} shows no {kind} and counts", f"cells {of} show no {kind} and count"
    )
    beyond = " (up to 3e38 can be read)" if is_beyond(text) else ""
    message = f"{are} as missing; the first is {shown(text)} in row {row}{beyond}"
    return (Remark("bad_cells", message, f"row {row}, column {cells.name!r}", count),)


def _example(cells: Cells, empty: NDArray[np.bool_]) -> str | None:
    known = np.flatnonzero(~empty)
    return cells.distinct[known[0]][:80] if len(known) else None


def _column(
    cells: Cells,
    kind: Kind,
    empty: NDArray[np.bool_],
    note: str | None = None,
    role: Role = Role.INPUT,
) -> Column:
    missing, distinct = int(cells.counts[empty].sum()), int((~empty).sum())
    return Column(cells.name, kind, role, missing, distinct, _example(cells, empty), note)
