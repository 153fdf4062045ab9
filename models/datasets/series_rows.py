"""The rows of a file as series: in order, each by itself, and one row a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.datasets.formats import FormatError, Options
from models.datasets.raw_table import FIRST_ROW, RawTable
from models.datasets.steps import step_of
from models.datasets.times import (
    Times,
    ascending,
    follows,
    gridded,
    in_words,
    read_times,
    usual_step,
)

BETWEEN = "\x1f"
"""Between the names of one series in several columns: the sign of ASCII for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a file as series, one after the other, each from its oldest row on.

    times: of the rows in the order of the file; of a grid, in the order of the series.
    turned, copied, put_back: as `times.Order` has them.
    origin: of the grid that they were brought to, if any: the day since 1970 at which it begins.

    Shapes:
        order: (T,) their places in the file; follows: (T,)
        places: (rows of the file,) the place here of each
    """

    order: NDArray[np.int64]
    places: NDArray[np.int64]
    lengths: Sequence[int]
    names: Sequence[str]
    follows: NDArray[np.bool_]
    times: Times
    step: float | None
    turned: int
    copied: int
    put_back: int
    origin: float | None = None

    def ends(self, is_known: NDArray[np.bool_]) -> list[int]:
        """How many rows of each series there are up to its last one that is known.

        Shapes:
            is_known: (T,)
        """
        parts = np.split(is_known, np.cumsum(self.lengths)[:-1])
        return [int(part.nonzero()[0].max(initial=-1)) + 1 for part in parts]

    def until(self, ends: Sequence[int]) -> NDArray[np.bool_]:
        """Which rows are among the first ones of their series, `ends` of each.

        Shapes:
            (T,)
        """
        pairs = zip(self.lengths, ends, strict=True)
        return np.concatenate([np.arange(length) < end for length, end in pairs])


def rows_of(table: RawTable, options: Options, time: str) -> Rows:
    are_dates = options.columns.get(time) == "date"
    times = read_times(time, table.texts[time], table.decimal, are_dates=are_dates)
    names, groups = [""], [np.arange(table.rows)]
    if columns := options.series_columns:
        cells = [table.texts[name].to_pylist() for name in columns]
        for name, texts in zip(columns, cells, strict=True):
            if "" in texts:
                row = texts.index("") + FIRST_ROW
                raise FormatError(f"row {row}, column {name!r}: the series is missing")
        ids = np.array([BETWEEN.join(parts) for parts in zip(*cells, strict=True)], dtype=object)
        found, places = np.unique(ids, return_inverse=True)
        by_series = np.argsort(places, kind="stable")
        names = [name.replace(BETWEEN, ", ") for name in found.tolist()]
        groups = np.split(by_series, np.cumsum(np.bincount(places))[:-1])
    order, *counts = ascending(
        time,
        times,
        groups,
        table.texts[time],
        lambda: _copies(table),
        are_merged=options.frequency is not None,
    )
    lengths = [len(group) for group in groups]
    begins = begins_of(lengths)
    ordered = times.values[order]
    step = usual_step(ordered, begins)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    following = follows(ordered, begins, step)
    return Rows(order, places, lengths, names, following, times, step, *counts)


def _copies(table: RawTable) -> NDArray[np.bool_]:
    """Rows that are there already, word for word."""
    columns = [texts.combine_chunks().dictionary_encode().indices for texts in table.texts.values()]
    codes = np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)
    found = np.ones(table.rows, dtype=bool)
    found[np.unique(codes, axis=0, return_index=True)[1]] = False
    return found


def begins_of(lengths: Sequence[int]) -> NDArray[np.bool_]:
    begins = np.zeros(sum(lengths), dtype=bool)
    begins[np.cumsum([0, *lengths[:-1]])] = True
    return begins


def resampled(
    rows: Rows, values: NDArray[np.float64], frequency: str
) -> tuple[Rows, NDArray[np.float64]]:
    """One row a step of the grid that has any: the mean of what its rows show. `order` is where
    the first of them stands in the file.

    Raises:
        FormatError: the times are numbers.
    """
    try:
        times, origin = gridded(rows.times, frequency)
    except ValueError as error:
        raise FormatError(str(error), "frequency") from None
    assert times.instants is not None  # noqa: S101 - `gridded` has looked
    step, unit = step_of(frequency)
    if rows.step is not None and rows.times.unit == unit and rows.step > 1.5 * step:
        raise FormatError(
            f"steps of {frequency} are shorter than the usual one, {in_words(rows.step, unit)}: "
            "most would have no row",
            "frequency",
        )
    found, means = merged(rows, values, times.values[rows.order], step)
    order = found.order
    grid = replace(times, values=times.values[order], instants=times.instants[order])
    return replace(found, times=grid, origin=origin), means


def merged(
    rows: Rows, values: NDArray[np.float64], at: NDArray[np.float64], step: float | None = None
) -> tuple[Rows, NDArray[np.float64]]:
    """One row a time: the mean of what those of that time show. `order` is where the first of them
    stands in the file. `at`: the times in that order; `step`: left out, the usual one.
    """
    begins = begins_of(rows.lengths)
    is_first = begins.copy()
    is_first[1:] |= np.diff(at) != 0
    first = np.flatnonzero(is_first)
    counts = np.add.reduceat(np.isfinite(values), first, axis=0, dtype=np.int64)
    sums = np.add.reduceat(np.nan_to_num(values, nan=0.0), first, axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    lengths = [int(part.sum()) for part in np.split(is_first, np.flatnonzero(begins)[1:])]
    at, begins = at[first], begins_of(lengths)
    step = usual_step(at, begins) if step is None else step
    found = replace(
        rows,
        order=rows.order[first],
        places=(np.cumsum(is_first) - 1)[rows.places],
        lengths=lengths,
        follows=follows(at, begins, step),
        step=step,
    )
    return found, means
