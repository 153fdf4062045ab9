"""What is told of the rows, times and cells of series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.datasets.formats import FormatError, Options
from models.datasets.raw_table import FIRST_ROW, RawTable, shown
from models.datasets.series_columns import Channels
from models.datasets.series_rows import Rows, begins_of
from models.datasets.steps import TOLERANCE
from models.datasets.times import in_words, usual_step
from models.remarks import Remark, in_number


def of_future(future: NDArray[np.int64], targets: Sequence[str]) -> Iterator[Remark]:
    """`future`: the places in the file of rows after the last one with a value of a target."""
    if len(future):
        row, names = int(future.min()) + FIRST_ROW, ", ".join(map(repr, targets))
        message = (
            f"{in_number(len(future), 'row', 'rows')} after the last with a value of {names}: to "
            f"forecast, and in no split; the first is row {row}"
        )
        yield Remark("rows_to_forecast", message, f"row {row}", len(future))


def of_cells(
    table: RawTable, channels: Channels, future: NDArray[np.int64], options: Options
) -> tuple[Channels, list[Remark]]:
    """What is told of cells without a number before the `future`; the columns are corrected by
    their count.

    Raises:
        FormatError: most cells of a column show no number, and rows are steps.
    """
    remarks, told = [], dict(channels.told)
    become = "are in no mean" if options.frequency else "their rows count as gaps"
    for name, numbers in zip(channels.names, channels.values.T, strict=True):
        bad = np.setdiff1d(np.flatnonzero(~np.isfinite(numbers)), future)
        if not len(bad):
            continue
        kind, count = told[name].kind.value, len(numbers) - len(future)
        row, text = int(bad[0]) + FIRST_ROW, shown(table.texts[name][int(bad[0])].as_py())
        if 2 * len(bad) > count and not options.frequency:
            raise FormatError(
                f"row {row}, column {name!r}: {text} is no {kind}, as most cells of the column; "
                "options.columns leaves one out by ignore, options.frequency takes the mean of "
                "what the rows of a step show"
            )
        message = (
            f"{len(bad)} of {count} cells of {name!r} show no {kind}, and {become}; the "
            f"first is {text} in row {row}"
        )
        remarks.append(Remark("bad_cells", message, f"row {row}, column {name!r}", len(bad)))
        told[name] = replace(told[name], missing=len(bad))
    return replace(channels, told=told), remarks


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
        message = (
            f"{in_number(rows.turned, 'row is', 'rows are')} written newest first, and turned round"
        )
        remarks.append(Remark("newest_first", message, time, rows.turned))
    if rows.copied:
        are = in_number(rows.copied, "row is", "rows are")
        message = f"{are} there already, word for word, counted once"
        remarks.append(Remark("repeated_rows", message, time, rows.copied))
    if rows.put_back:
        message = (
            f"{in_number(rows.put_back, 'row has', 'rows have')} a time that is there already, as "
            "clocks were put back; of each time there is one step, the mean of its rows. Times "
            "with their zone keep both"
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
            f"{in_number(crossing, 'window', 'windows')} across "
            f"{in_number(len(gaps), 'gap', 'gaps')} left out; the usual step is "
            f"{in_words(rows.step, unit)}, the first gap is before row {row}"
        )
        remarks.append(Remark("gaps", message, f"row {row}, column {time!r}", crossing))
    return remarks


def of_windows(lost: int, kept: int) -> Iterator[Remark]:
    """Windows that hold a cell without a value, beside those that cross a gap."""
    if lost > 0:
        hold = in_number(lost, "window holds", "windows hold")
        message = f"{hold} a cell without a value, left out; {kept} are left"
        yield Remark("windows_left_out", message, None, lost)


def of_other_steps(rows: Rows, options: Options) -> Iterator[Remark]:
    """Series whose rows are other steps apart than those of most."""
    at = rows.times.values if rows.origin is not None else rows.times.values[rows.order]
    parts = np.split(at, np.cumsum(rows.lengths)[:-1])
    own = [usual_step(part, begins_of([len(part)])) for part in parts]
    known = {step for step in own if step is not None}
    usual = rows.step or max(known, key=own.count, default=0.0)
    other = [
        f"{name[:40]!r} ({in_words(step, rows.times.unit)})"
        for name, step in zip(rows.names, own, strict=True)
        if step is not None and abs(step - usual) > TOLERANCE * usual
    ]
    if other:
        more = " and others" if len(other) > 5 else ""
        have = in_number(len(other), "series has", "series have")
        message = (
            f"{have} other steps than {in_words(usual, rows.times.unit)}: "
            f"{', '.join(other[:5])}{more}; options.frequency brings all to one"
        )
        yield Remark("other_steps", message, ", ".join(options.series_columns), len(other))


def of_series(rows: Rows, options: Options, short: Sequence[int]) -> list[Remark]:
    if not (columns := options.series_columns):
        return []
    where = ", ".join(columns)
    kept = len(rows.names) - len(short)
    message = f"{kept} series, told apart by {where!r}; each is split by time"
    remarks = [Remark("several_series", message, where, kept)]
    if short:
        first = ", ".join(repr(rows.names[place][:40]) for place in short[:5])
        are = in_number(len(short), "series is", "series are")
        message = f"{are} too short for a window in each split: {first}"
        message += " and others, left out" if len(short) > 5 else ", left out"
        remarks.append(Remark("short_series", message, where, len(short)))
    return remarks
