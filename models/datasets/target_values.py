"""The numbers to predict, read as those of any other column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.datasets import sentinels
from models.datasets.amounts import parted
from models.datasets.cells import EMPTY_WORDS, MISSING_WORDS
from models.datasets.formats import FormatError
from models.datasets.guessed_kind import MOST, Cells, cells_of
from models.datasets.raw_table import FIRST_ROW, Texts, shown
from models.datasets.written_numbers import (
    are_shares,
    as_written,
    currencies_of,
    is_beyond,
    of_writing,
)
from models.remarks import Column, Kind, Remark, Role, in_number


@dataclass(frozen=True, slots=True, eq=False)
class TargetValues:
    """
    unit: what one of a value is; None: a number as it stands.

    Shapes:
        values: (known rows,) float64
    """

    values: NDArray[np.float64]
    column: Column
    unit: str | None
    remarks: tuple[Remark, ...]


def target_values(
    name: str,
    texts: Texts,
    known: NDArray[np.int64],
    *,
    decimal: str,
    missing: Sequence[str] | None = None,
) -> TargetValues:
    """The values of the `known` rows, from 0 on; each of them has one.

    decimal: the sign of the file; missing: as of `kinds.read_column`.

    Raises:
        FormatError: with the first row that has none, or that all have the same.
    """
    words: tuple[str, ...] = MISSING_WORDS
    if missing is not None:
        words = ("", *(word.strip().lower() for word in missing))
    cells = cells_of(name, texts, decimal, words)
    empty = cells.is_missing
    cells, _ = as_written(cells, empty, Kind.NUMBER, "number")
    values = cells.spread(cells.numbers)[known]
    if (wrong := np.flatnonzero(np.isnan(values))).size:
        place = int(known[wrong[0]])
        text = texts[place].as_py()
        is_empty = empty[cells.places[place]] or text.lower() in EMPTY_WORDS
        what = f"{shown(text)} is no number that can be predicted"
        if is_beyond(text):
            what += ": it is beyond 3e38, the largest that float32 holds"
        elif np.isnan(values).mean() > MOST:
            what += "; classes are predicted by tabular_classification"
        if is_empty:
            rows = in_number(int(np.isnan(values).sum()), "row", "rows")
            what = (
                f"the number is missing, in {rows} of {len(values)}; the option unlabelled takes "
                "such rows as samples without one, or the file leaves them out"
            )
        raise FormatError(f"row {place + FIRST_ROW}, column {name!r}: {what}", "target")
    if len(values) and (values == values[0]).all():
        raise FormatError(f"column {name!r} is {values[0]:g} in every row", "target")
    unit = _unit(cells)
    count, distinct = int(cells.counts[empty].sum()), int((~empty).sum())
    example = min(np.array(cells.distinct, dtype=object)[~empty])[:80]
    note = None if unit is None else f"in {unit}"
    column = Column(name, Kind.NUMBER, Role.TARGET, count, distinct, example, note)
    return TargetValues(
        values,
        column,
        unit,
        (
            *of_writing(cells, decimal),
            *sentinels.of_numbers(cells, is_target=True),
            *_of_two(name, np.unique(values)),
        ),
    )


def _of_two(name: str, distinct: NDArray[np.float64]) -> Iterator[Remark]:
    if len(distinct) == 2:
        message = (
            f"{name!r} is {distinct[0]:g} or {distinct[1]:g}, as of two classes; their "
            "probabilities are predicted by tabular_classification"
        )
        yield Remark("two_values", message, name, 2)


def _unit(cells: Cells) -> str | None:
    if cells.form.get("clock"):
        return "seconds"
    texts = [cells.distinct[place] for place in np.flatnonzero(np.isfinite(cells.numbers))]
    if are_shares(cells):
        return "shares, of which 1 is 100 %"
    if not cells.form:
        currencies = currencies_of(texts)
        return currencies.pop() if len(currencies) == 1 else None
    units = cells.form.get("units", {})
    found: Counter[str] = Counter()
    for text in texts:
        parts = parted(text)
        if parts is not None and units.get(parts[1], units.get(parts[1].lower())) == 1.0:
            found[parts[1]] += 1
    return found.most_common(1)[0][0] if found else None
