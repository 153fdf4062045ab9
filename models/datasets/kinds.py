"""Which kind a column is: by what most of its cells say, by the file's own types, or by a person's
word. What is guessed, left out or unreadable is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import (
    EMPTY_WORDS,
    MISSING_WORDS,
    boolean_of,
    is_unspaced,
)
from models.datasets.columns import FIRST_ROW, Texts, shown
from models.datasets.inputs import (
    Booleans,
    Categories,
    Dates,
    Input,
    LongTexts,
    Numbers,
)
from models.datasets.many_cells import dates_of, numbers_of
from models.remarks import Column, Kind, Remark, Role

MOST = 0.5
"""Share of the cells that has to be a number, or a date, for the rest to be unreadable."""

PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
"""A number that needs no interpretation, which `pyarrow` reads at once."""

_CODE = re.compile(r"[-+]?0\d+|\d{16,}")
_HEX = re.compile(r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{24,64}")
_NAME_OF_AN_IDENTIFIER = re.compile(
    r"(?i)(?:.*[_\s.-])?(?:id|ids|uuid|guid|index|idx|rownames?|row_?(?:id|nr|no|number))"
    r"|unnamed: ?0|(?-i:.*[a-z]Id|.*ID)"
)
DATE_LIKE_NUMBER = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


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


@dataclass(frozen=True, eq=False)
class _Cells:
    """The distinct texts of a column, and which row has which; `texts` are the distinct ones as an
    array of `pyarrow`.
    """

    name: str
    distinct: list[str]
    places: NDArray[np.int64]
    counts: NDArray[np.int64]
    decimal: str
    words: tuple[str, ...]
    texts: Texts

    @cached_property
    def is_missing(self) -> NDArray[np.bool_]:
        words = frozenset(self.words)
        return np.array([text.lower() in words for text in self.distinct], dtype=bool)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The number of each distinct text, NaN where it is none."""
        return np.where(self.is_missing, np.nan, numbers_of(self.texts, self.decimal))

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.places]

    def first_row(self, chosen: NDArray[np.bool_]) -> int:
        """The row in the file of the first cell that is `chosen`."""
        return int(np.flatnonzero(chosen[self.places])[0]) + FIRST_ROW


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
    cells = _cells(name, texts, decimal, words or MISSING_WORDS)
    found = _read(cells, of_file, wanted, words)
    if wanted == "ignore":
        column = replace(found.column, role=Role.IGNORED, note="left out, as the options say")
        return ReadColumn(column, None, {})
    return found


def _cells(name: str, texts: Texts, decimal: str, words: tuple[str, ...]) -> _Cells:
    encoded = texts.combine_chunks().dictionary_encode()
    dictionary = encoded.dictionary
    places = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(places, minlength=len(dictionary))
    return _Cells(name, dictionary.to_pylist(), places, counts, decimal, words, dictionary)


def _read(
    cells: _Cells, of_file: Kind | None, wanted: str | None, words: tuple[str, ...] | None
) -> ReadColumn:
    missing, decimal = cells.is_missing, cells.decimal
    if wanted in (None, "ignore") and (constant := _constant(cells, missing)) is not None:
        return constant
    kind = Kind(wanted) if wanted not in (None, "ignore") else of_file
    if kind is None or (kind is Kind.NUMBER and wanted != "number"):
        guess = _guess(cells, missing)
        is_other = guess in (Kind.CATEGORY, Kind.TEXT)  # of numbers most of which are infinite
        kind = Kind.NUMBER if kind is Kind.NUMBER and is_other else guess
    if of_file is None and kind not in (Kind.BOOLEAN, Kind.DATE):
        cells, kind = _by_the_other_sign(cells, missing, kind, wanted)
    if kind is Kind.NUMBER:
        return _number(cells, missing, decimal)
    if kind is Kind.BOOLEAN:
        return _boolean(cells, missing)
    if kind is Kind.DATE:
        return _date(cells, missing)
    return _words(replace(cells, words=words or EMPTY_WORDS), kind)


def _by_the_other_sign(
    cells: _Cells, missing: NDArray[np.bool_], kind: Kind, wanted: str | None
) -> tuple[_Cells, Kind]:
    """A column that is all numbers by the decimal sign that the rest of the file has not: as
    1.234.567, or 3,14 in a file of 2.5.
    """
    if wanted not in (None, "ignore", "number") or np.isfinite(cells.numbers[~missing]).all():
        return cells, kind
    other = replace(cells, decimal="," if cells.decimal == "." else ".")
    if np.isfinite(other.numbers[~missing]).all():
        return other, Kind.NUMBER
    return cells, kind


def _constant(cells: _Cells, missing: NDArray[np.bool_]) -> ReadColumn | None:
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


def _guess(cells: _Cells, missing: NDArray[np.bool_]) -> Kind:
    known = [text for text, empty in zip(cells.distinct, missing, strict=True) if not empty]
    counts = cells.counts[~missing]
    if all(boolean_of(text) is not None for text in known) and len(set(map(boolean_of, known))) > 1:
        return Kind.BOOLEAN
    if _dates_in(cells, known, missing):
        return Kind.DATE
    numbers = cells.numbers
    is_number = np.isfinite(numbers[~missing])
    share = counts[is_number].sum() / counts.sum()
    bad = int((~is_number).sum())
    if share > MOST and bad <= max(3, 0.1 * is_number.sum() if share < 0.9 else np.inf):
        codes = sum(_CODE.fullmatch(text) is not None for text in known)
        if not codes:
            if _is_identifier(cells.name, numbers[~missing][is_number], counts):
                return Kind.IDENTIFIER
            return Kind.NUMBER
    return _kind_of_words(known, counts)


def _kind_of_words(known: Sequence[str], counts: NDArray[np.int64]) -> Kind:
    rows, distinct = int(counts.sum()), len(known)
    sample = known[:2000]
    if distinct > 0.5 * rows and all(_HEX.fullmatch(text) for text in sample):
        return Kind.IDENTIFIER
    words = float(np.mean([len(text.split()) for text in sample])) if sample else 0.0
    dense = float(np.mean([sum(map(is_unspaced, text)) for text in sample])) if sample else 0.0
    if distinct >= 0.95 * rows and rows > 2:
        return Kind.TEXT if words >= 2 or dense >= 4 else Kind.IDENTIFIER
    if (words >= 3 or dense >= 8) and (distinct > 0.5 * rows or distinct > 50):
        return Kind.TEXT
    return Kind.CATEGORY


def _is_identifier(name: str, numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    """Whole numbers, each once, under a name as identifiers have it."""
    is_unique = len(counts) > 2 and bool((counts == 1).all())
    is_whole = bool((numbers == np.round(numbers)).all())
    return is_unique and is_whole and _NAME_OF_AN_IDENTIFIER.fullmatch(name.strip()) is not None


def _dates_in(cells: _Cells, known: Sequence[str], missing: NDArray[np.bool_]) -> bool:
    """Whether most cells are dates, those of eight digits included if all are."""
    if all(text.isdecimal() for text in known):
        return len(known) > 2 and all(DATE_LIKE_NUMBER.fullmatch(text) for text in known)
    sample = np.flatnonzero(~missing)[:: max(1, len(known) // 500)]
    texts = cells.texts.take(sample)
    dates = dates_of(texts)
    are = ~np.isnat(dates["dmy"]) | ~np.isnat(dates["mdy"])
    if np.average(are, weights=cells.counts[sample]) <= MOST:
        return False
    return bool(np.isnan(numbers_of(texts, cells.decimal)).any())


def _order(
    cells: _Cells, dates: Mapping[str, NDArray[np.datetime64]], missing: NDArray[np.bool_]
) -> tuple[str, bool]:
    """Whether days come before months, and whether that is a guess."""
    read = {order: int((~np.isnat(found[~missing])).sum()) for order, found in dates.items()}
    if read["dmy"] != read["mdy"]:
        return max(read, key=lambda order: read[order]), False
    first, second = dates["dmy"], dates["mdy"]
    is_open = bool(((first != second) & ~(np.isnat(first) & np.isnat(second)) & ~missing).any())
    slashes = any(
        "/" in text for text, empty in zip(cells.distinct, missing, strict=True) if not empty
    )
    return ("mdy" if is_open and slashes else "dmy"), is_open


def _number(cells: _Cells, missing: NDArray[np.bool_], decimal: str) -> ReadColumn:
    numbers = cells.numbers
    bad = ~missing & np.isnan(numbers)
    if np.isnan(numbers).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is a number")
    finite = numbers[np.isfinite(numbers)]
    extra = {"decimal": cells.decimal, "missing": list(cells.words)}
    remarks = _bad_cells(cells, bad, "number")
    if cells.decimal != decimal:
        sign = "comma" if cells.decimal == "," else "point"
        message = f"{cells.name!r} is written with a decimal {sign}, unlike the rest of the file"
        remarks += (Remark("decimal_guessed", message, cells.name),)
    count = int(cells.counts[missing | bad].sum())
    if float(finite.std()) <= 1e-12 * float(np.abs(finite).max()) and not count:
        note = f"left out: every cell is {shown(cells.distinct[0])}"
        column = _column(cells, Kind.CONSTANT, missing | bad, note, Role.IGNORED)
        remark = Remark("constant_column", f"{cells.name!r} is {note}", cells.name)
        return ReadColumn(column, None, {}, (remark,))
    column = _column(cells, Kind.NUMBER, missing | bad)
    return ReadColumn(column, Numbers(cells.spread(numbers)), extra, remarks)


def _boolean(cells: _Cells, missing: NDArray[np.bool_]) -> ReadColumn:
    values = np.array([boolean_of(text) for text in cells.distinct], dtype=np.float64)
    values[missing] = np.nan
    if np.isnan(values).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is yes or no")
    bad = ~missing & np.isnan(values)
    column = _column(cells, Kind.BOOLEAN, missing | bad)
    extra = {"missing": list(cells.words)}
    remarks = _bad_cells(cells, bad, "boolean")
    return ReadColumn(column, Booleans(cells.spread(values)), extra, remarks)


def _date(cells: _Cells, missing: NDArray[np.bool_]) -> ReadColumn:
    dates = dates_of(cells.texts)
    order, is_guess = _order(cells, dates, missing)
    values = np.where(missing, np.datetime64("NaT", "s"), dates[order])
    bad = ~missing & np.isnat(values)
    if np.isnat(values).all():
        raise WrongKindError(f"{cells.name!r} has no cell that is a date")
    remarks = list(_bad_cells(cells, bad, "date"))
    if is_guess:
        words = "day, month, year" if order == "dmy" else "month, day, year"
        message = f"the dates of {cells.name!r} can be read in two ways; read as {words}"
        remarks.append(Remark("date_order_guessed", message, cells.name))
    column = _column(cells, Kind.DATE, missing | bad, "year, days, season, weekday and time of day")
    extra = {"order": order, "missing": list(cells.words)}
    return ReadColumn(column, Dates(cells.spread(values)), extra, tuple(remarks))


def _words(cells: _Cells, kind: Kind) -> ReadColumn:
    missing = cells.is_missing
    if kind is Kind.IDENTIFIER:
        note = "left out: every row has its own"
        column = _column(cells, kind, missing, note, Role.IGNORED)
        message = f"{cells.name!r} names rows and tells nothing of them; columns says otherwise"
        return ReadColumn(column, None, {}, (Remark("identifier_column", message, cells.name),))
    values = np.array(
        ["" if empty else text for text, empty in zip(cells.distinct, missing, strict=True)],
        dtype=object,
    )
    entry: Input = (LongTexts if kind is Kind.TEXT else Categories)(cells.spread(values))
    return ReadColumn(_column(cells, kind, missing), entry, {"missing": list(cells.words)})


def _bad_cells(cells: _Cells, bad: NDArray[np.bool_], kind: str) -> tuple[Remark, ...]:
    if not bad.any():
        return ()
    count, row = int(cells.counts[bad].sum()), cells.first_row(bad)
    text = cells.distinct[int(cells.places[row - FIRST_ROW])]
    are = "cell" if count == 1 else "cells"
    message = (
        f"{count} {are} of {cells.name!r} show no {kind} and count as missing; the first is "
        f"{shown(text)} in row {row}"
    )
    return (Remark("bad_cells", message, f"row {row}, column {cells.name!r}", count),)


def _example(cells: _Cells, empty: NDArray[np.bool_]) -> str | None:
    known = np.flatnonzero(~empty)
    return cells.distinct[known[0]][:80] if len(known) else None


def _column(
    cells: _Cells,
    kind: Kind,
    empty: NDArray[np.bool_],
    note: str | None = None,
    role: Role = Role.INPUT,
) -> Column:
    missing, distinct = int(cells.counts[empty].sum()), int((~empty).sum())
    return Column(cells.name, kind, role, missing, distinct, _example(cells, empty), note)
