"""How the numbers of a column are written: units, clocks, marks around digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.amounts import clock_of, number_of, unmarked
from models.datasets.decimals import of_own_sign
from models.datasets.guessed_kind import CODE, Cells
from models.datasets.many_cells import DIGIT, matches
from models.datasets.raw_table import FIRST_ROW, shown
from models.datasets.units import units_of
from models.remarks import Kind, Remark, in_number

_DIGIT_AT = re.compile(r"\d")
_SHARE = re.compile("[%\u2030\uff05]")
_CURRENCY = re.compile(r"[$£-¥\u20a0-\u20cf]|[^\W\d_]{2,}")


def as_written(
    cells: Cells, missing: NDArray[np.bool_], kind: Kind, wanted: str | None
) -> tuple[Cells, Kind]:
    """The cells with the form that most of them have, and what they are then: numbers, where nine
    of ten have a unit, are times of day and durations, or have marks of notes; or any, where
    somebody says that the column is one of numbers.

    kind: what they seem to be; wanted: what a person calls them, `ignore` included.

    Shapes:
        missing: (distinct texts,)
    """
    is_open = wanted in (None, "ignore", "number")
    is_bad = ~missing & np.isnan(cells.numbers)
    if not is_open or not is_bad.any() or not _DIGIT_AT.search(cells.distinct[is_bad.argmax()]):
        return cells, kind
    bad = np.flatnonzero(is_bad)
    texts = [cells.distinct[place] for place in bad]
    if any(CODE.match(text) for text in texts if ":" not in text):
        return cells, kind
    counts = cells.counts[bad].tolist()
    forms: list[dict[str, Any]] = []
    plain_rows = int(cells.counts[np.isfinite(cells.numbers)].sum())
    has_flags = any(text.startswith(":") for text in cells.distinct)  # of a statistical office
    if not has_flags and (units := units_of(texts, counts, plain_rows)):
        forms.append({"units": units})
    if sum(clock_of(text) is not None for text in texts[:500]) > 0.5 * len(texts[:500]):
        forms.append({"clock": True})
    plain = [unmarked(text) for text in texts[:500]]
    are_read = [number_of(text, cells.decimal) is not None for text in plain]
    if sum(are_read) > 0.5 * len(plain) and not any(map(CODE.fullmatch, plain)):
        forms.append({"marked": True})
    least = 0.0 if wanted == "number" else 0.9
    for form in forms:
        other = replace(cells, form=form)
        read = np.isfinite(other.numbers)
        if cells.counts[read].sum() > least * cells.counts[~missing].sum() and read.sum() > 1:
            return other, Kind.NUMBER
    return cells, kind


def of_writing(cells: Cells, decimal: str) -> Iterator[Remark]:
    """What is told of how numbers were read. `decimal`: the sign of the rest of the file."""
    yield from _of_marks(cells)
    if cells.decimal != decimal:
        yield of_own_sign(cells.name, cells.decimal)


def currencies_of(texts: Iterable[str]) -> set[str]:
    """The marks of currencies, in lower case, that stand beside numbers."""
    return {mark.lower() for text in texts for mark in _CURRENCY.findall(text)}


def is_beyond(text: str) -> bool:
    """Whether a text is a number that is too large for a network."""
    try:
        return abs(float(text)) >= 3e38
    except ValueError:
        return False


def are_shares(cells: Cells) -> bool:
    """Whether all numbers but 0 have a sign of percent or per mille behind or before them."""
    numbers = np.flatnonzero(np.isfinite(cells.numbers) & (cells.numbers != 0))
    are = (_SHARE.search(cells.distinct[place]) is not None for place in numbers)
    return len(numbers) > 0 and all(are)


def _of_marks(cells: Cells) -> Iterator[Remark]:
    """What numbers have beside digits, sign and decimal sign, and how they are understood."""
    point = "\\." if cells.decimal == "." else ","
    plain = rf"^[-+]?({DIGIT}+{point}?{DIGIT}*|{point}{DIGIT}+)([eE][-+]?{DIGIT}+)?$"
    numbers = np.isfinite(cells.numbers)
    marked = numbers & ~matches(cells.texts, plain)
    if not marked.any():
        return
    row, count = cells.first_row(marked), int(cells.counts[marked].sum())
    place = int(cells.places[row - FIRST_ROW])
    example = f"{shown(cells.distinct[place])} in row {row} as {cells.numbers[place]:.10g}"
    where, what = f"row {row}, column {cells.name!r}", ("number_marks", "thousands marks and signs")
    if cells.form.get("clock"):
        what = ("clock_times", "a time of day or a duration, read in seconds")
    elif cells.form.get("marked"):
        what = (
            "footnote_marks",
            "the mark of a note, a flag or that of a spreadsheet beside the number",
        )
    elif cells.form:
        what = ("units", "a unit")
    code, has = what
    of = f"of {cells.name!r}"
    message = f"{in_number(count, f'cell {of} has', f'cells {of} have')} {has}: {example}"
    yield Remark(code, message, where, count)
    texts = [cells.distinct[place] for place in np.flatnonzero(numbers)]
    currencies = currencies_of(texts)
    shares = sum(_SHARE.search(text) is not None for text in texts)
    if not cells.form and (len(currencies) > 1 or 0 < shares < len(texts)):
        signs = ", ".join([*sorted(currencies), *(["% and none"] if shares else [])])
        message = f"{cells.name!r} has numbers with {signs}, which are taken as they are"
        yield Remark("mixed_marks", message, cells.name, len(texts))
