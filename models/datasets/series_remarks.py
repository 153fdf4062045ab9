"""What is told of the rows, times and cells of series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.datasets.decimals import of_own_sign
from models.datasets.formats import FormatError, Options
from models.datasets.raw_table import FIRST_ROW, RawTable, shown
from models.datasets.series_rows import Rows, begins_of
from models.datasets.times import in_words
from models.remarks import Column, Remark


def of_constants(names: Sequence[str], values: NDArray[np.float64]) -> Iterator[Remark]:
    for name, column in zip(names, values.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) and (known == known[0]).all():
            message = f"{name!r} is {known[0]:g} in every row and tells nothing"
            yield Remark("constant_column", message, name)


def of_signs(table: RawTable, names: Sequence[str]) -> Iterator[Remark]:
    for name in names:
        if (sign := table.sign_of(name)) != table.decimal:
            yield of_own_sign(name, sign)


def of_cells(
    table: RawTable,
    names: Sequence[str],
    values: NDArray[np.float64],
    told: dict[str, Column],
    options: Options,
) -> list[Remark]:
    """What is told of cells without a number; the columns are corrected by their count.

    Raises:
        FormatError: most cells of a column show no number.
    """
    remarks = []
    become = "are in no mean" if options.frequency else "their rows count as gaps"
    for name, numbers in zip(names, values.T, strict=True):
        bad = np.flatnonzero(~np.isfinite(numbers))
        if not len(bad):
            continue
        row, text = int(bad[0]) + FIRST_ROW, shown(table.texts[name][int(bad[0])].as_py())
        if 2 * len(bad) > len(numbers):
            raise FormatError(
                f"row {row}, column {name!r}: {text} is no number, as most cells of the column; "
                "options.columns leaves one out by ignore"
            )
        message = (
            f"{len(bad)} of {len(numbers)} cells of {name!r} show no number, and {become}; the "
            f"first is {text} in row {row}"
        )
        remarks.append(Remark("bad_cells", message, f"row {row}, column {name!r}", len(bad)))
        told[name] = replace(told[name], missing=len(bad))
    return remarks


def of_grid(rows: Rows, time: str, frequency: str, count: int) -> Remark:
    begins = begins_of(rows.lengths)
    assert rows.step is not None  # noqa: S101 - of a grid
    between = np.rint(np.diff(rows.times.values)[~begins[1:]] / rows.step) - 1
    message = (
        f"{count} rows became {len(begins)} steps of {frequency}, each the mean of its rows; "
        f"{int(between.sum())} steps between have none"
    )
    return Remark("resampled", message, time, len(begins))


def of_times(rows: Rows, time: str, crossing: int) -> list[Remark]:
    remarks, unit = list(rows.times.remarks), rows.times.unit
    if rows.turned:
        message = f"{rows.turned} rows are written newest first and were turned round"
        remarks.append(Remark("newest_first", message, time, rows.turned))
    if rows.copied:
        message = f"{rows.copied} rows are there already, word for word, and count once"
        remarks.append(Remark("repeated_rows", message, time, rows.copied))
    if rows.put_back:
        message = (
            f"{rows.put_back} rows have a time that is there already, as clocks were put back; of "
            "each time there is one step, the mean of its rows. Times with their zone keep both"
        )
        remarks.append(Remark("clocks_put_back", message, time, rows.put_back))
    if unit == "weekdays":
        message = "times are days from Monday to Friday alone; a weekend is no gap"
        remarks.append(Remark("weekdays_only", message, time))
    if rows.step is None:
        message = "times have no usual step; each row counts as the step after the row before"
        remarks.append(Remark("irregular_steps", message, time))
        return remarks
    begins = np.cumsum([0, *rows.lengths[:-1]])
    gaps = np.setdiff1d(np.flatnonzero(~rows.follows), begins)
    if len(gaps):
        row = int(rows.order[gaps[0]]) + FIRST_ROW
        message = (
            f"{crossing} windows across {len(gaps)} gaps are left out; the usual step is "
            f"{in_words(rows.step, unit)}, the first gap is before row {row}"
        )
        remarks.append(Remark("gaps", message, f"row {row}, column {time!r}", crossing))
    return remarks


def of_series(rows: Rows, options: Options, short: Sequence[int]) -> list[Remark]:
    if not options.series:
        return []
    kept = len(rows.names) - len(short)
    message = f"{kept} series, told apart by {options.series!r}; each is split by time"
    remarks = [Remark("several_series", message, options.series, kept)]
    if short:
        first = ", ".join(repr(rows.names[place][:40]) for place in short[:5])
        message = f"{len(short)} series are too short for a window in each split: {first}"
        message += " and others, left out" if len(short) > 5 else ", left out"
        remarks.append(Remark("short_series", message, options.series, len(short)))
    return remarks
