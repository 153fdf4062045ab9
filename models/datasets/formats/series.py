"""CSV or Parquet with a column of time, to forecast some of its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, series
from models.datasets.columns import is_text, read_table
from models.datasets.dates import date_of
from models.datasets.formats import LEFT_OUT, MAX_VALUES, FormatError, Options, Upload, formats
from models.datasets.formats.tabular import WRITING, chosen, unnamed
from models.datasets.parquet import is_parquet
from models.datasets.raw_table import RawTable, Texts
from models.datasets.series_columns import (
    KINDS,
    Channels,
    constant_in,
    of_constant_in_train,
    read_channels,
)
from models.datasets.series_remarks import (
    of_cells,
    of_future,
    of_grid,
    of_other_steps,
    of_series,
    of_times,
    of_windows,
)
from models.datasets.series_rows import Rows, merged, resampled, rows_of
from models.datasets.steps import calendar_of, cycles_of, leads
from models.datasets.time_columns import parts_of_time, with_time
from models.datasets.times import in_words
from models.remarks import Column, Kind, Remark, Role

CALENDAR = "calendar"
"""Among the columns known in advance: inputs from the time itself."""


@formats.register("series")
class Series:
    tasks = frozenset({"forecasting"})
    options = WRITING | frozenset(
        {"time", "target", "series", "window", "horizon", "columns", "frequency", "known"}
    )
    description = "a CSV or Parquet file with a column of time"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_parquet(path) or is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        options = upload.options
        for name, value in (("window", options.window), ("horizon", options.horizon)):
            if value is None:
                raise FormatError("is required: a number of time steps", name)
        assert options.window is not None and options.horizon is not None  # noqa: S101 - above
        table = read_table(upload.path, options)
        _check_has_a_row_a_time(list(table.texts))
        times = chosen(table.texts, options.time_columns, "time")
        targets = chosen(table.texts, options.targets, "target")
        if named := set(times) & set(targets):
            raise FormatError(f"{named.pop()!r} is the time, which cannot be forecast", "target")
        _check_columns(table, options, times, targets)
        others = [*times, *options.series_columns]
        columns = [name for name in table.texts if name not in others]
        channels = read_channels(table, options, columns, targets)
        table, time = with_time(table, times)
        found = _steps_of(table, options, time, channels, targets)
        found = _learnable(found)
        _check_windows(found)
        cycles, calendar = _calendar(found.rows, options)
        _check_size(found, cycles)
        dataset = series.forecasting(
            upload.name,
            found.values,
            found.channels.names,
            targets,
            window=options.window,
            horizon=options.horizon,
            validation=options.split.validation,
            test=options.split.test,
            lengths=found.rows.lengths,
            ends=found.ends,
            follows=found.whole,
            known=found.known,
            cycles=cycles,
            calendar=calendar,
        )
        rows, windows = found.rows, found.windows(found.whole)
        remarks = [*table.remarks, *found.remarks]
        gaps = found.windows(rows.follows)
        remarks += of_times(rows, time, gaps.crossing)
        kept = sum(map(len, windows.starts))
        remarks += of_windows(sum(map(len, gaps.starts)) - kept, kept)
        remarks += [*of_series(rows, options, windows.short), *of_other_steps(rows, options)]
        read_columns = [*others, *found.channels.columns]
        return replace(
            dataset,
            raw_rows=_tested(table, rows, windows.starts[2], read_columns, options),
            preprocessing={
                **dataset.preprocessing,
                **_reading(rows, options, time, table.decimal, found.channels),
                **unnamed(table, ()),
            },
            columns=_columns(table, options, rows.times.unit, found.channels.told),
            remarks=tuple(remarks),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """The steps of all series, one after the other, and what is told of how they were made.

    ends: how many steps of each series come before those that are to forecast.

    Shapes:
        values: (steps, channels)
    """

    rows: Rows
    values: NDArray[np.float64]
    ends: Sequence[int]
    channels: Channels
    options: Options
    remarks: Sequence[Remark]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Whether a step follows the one before, and both have all values."""
        is_read: NDArray[np.bool_] = np.asarray(np.isfinite(self.values).all(axis=1))
        whole = self.rows.follows & is_read
        whole[1:] &= is_read[:-1]
        return whole

    @property
    def known(self) -> list[str]:
        """The channels that are known in advance, but the calendar."""
        return self.channels.of(name for name in self.options.known_columns if name != CALENDAR)

    def windows(self, follows: NDArray[np.bool_]) -> series.Windows:
        window, horizon = self.options.window, self.options.horizon
        assert window is not None and horizon is not None  # noqa: S101 - as in `read`
        return series.windows_of(
            self.rows.lengths,
            follows,
            ends=self.ends,
            window=window,
            horizon=horizon,
            validation=self.options.split.validation,
            test=self.options.split.test,
        )


def _steps_of(
    table: RawTable, options: Options, time: str, channels: Channels, targets: Sequence[str]
) -> _Steps:
    try:
        rows = rows_of(table, options, time)
    except ValueError as error:
        several = len(options.time_columns) > 1
        hint = "" if several else parts_of_time(table, time, [*targets, *options.series_columns])
        raise FormatError(f"{error}{hint}", getattr(error, "option", None)) from None
    values = channels.values[rows.order]
    places = [channels.names.index(name) for name in targets]
    _check_targets(targets, values[:, places])
    ends = rows.ends(np.asarray(np.isfinite(values[:, places]).any(axis=1)))
    future = rows.order[~rows.until(ends)]
    channels, of_bad = of_cells(table, channels, future, options)
    remarks = [*channels.remarks, *of_future(future, targets), *of_bad]
    if options.frequency:
        rows, values = resampled(rows, values, options.frequency)
        remarks.append(of_grid(rows, time, options.frequency, table.rows))
    elif rows.copied or rows.put_back:
        rows, values = merged(rows, values, rows.times.values[rows.order])
    ends = rows.ends(np.asarray(np.isfinite(values[:, places]).any(axis=1)))
    return _Steps(rows, values, ends, channels, options, remarks)


def _learnable(found: _Steps) -> _Steps:
    """Without channels that are the same in every row of the train split.

    Raises:
        FormatError: a target is.
    """
    train = found.windows(found.whole).train_rows
    constant = constant_in(found.channels, found.values[train])
    if not constant:
        return found
    for name in found.options.targets:
        if name in constant:
            values = found.values[train, found.channels.names.index(name)]
            raise FormatError(
                f"column {name!r} is {np.nanmax(values):g} in every row of the train split, the "
                f"oldest {len(train)} rows: no network learns from them when it changes",
                "target",
            )
    remarks = [*found.remarks, *of_constant_in_train(found.channels, constant)]
    kept = [place for place, name in enumerate(found.channels.names) if name not in constant]
    channels = found.channels.without(constant, "left out: the same in all of the train split")
    return replace(found, channels=channels, values=found.values[:, kept], remarks=remarks)


def _check_windows(found: _Steps) -> None:
    """
    Raises:
        FormatError: no series has a window in each split; says what is in the way.
    """
    rows, whole = found.rows, found.whole
    breaks = int((~whole[1:]).sum()) - len(rows.lengths) + 1
    if all(map(len, found.windows(whole).starts)) or (len(rows.lengths) == 1 and not breaks):
        return
    options = found.options
    message = (
        f"there are too few rows without a gap for a window of {options.window} and a horizon of "
        f"{options.horizon} in each split"
    )
    if len(rows.lengths) > 1:
        message += f" of any of {len(rows.lengths)} series, the longest has {max(found.ends)} rows"
    if (apart := int((~rows.follows).sum()) - len(rows.lengths)) > 0 and rows.step is not None:
        step = in_words(rows.step, rows.times.unit)
        message += f"; {apart} rows do not come {step} after the row before, as most do"
    lacking = ~np.isfinite(found.values)
    if count := int(lacking.any(axis=1).sum()):
        columns = zip(found.channels.names, lacking.T, strict=True)
        names = ", ".join(name for name, lacks in columns if lacks.any())
        message += f"; {count} rows lack a value of {names}"
    raise FormatError(f"{message}; options.frequency takes means of longer steps", "window")


def _check_size(found: _Steps, cycles: Sequence[str]) -> None:
    """
    Raises:
        FormatError: there are more numbers than a dataset may have.
    """
    options, steps = found.options, len(found.values)
    window, horizon = options.window or 0, options.horizon or 0
    if steps * horizon * len(options.targets) > MAX_VALUES:
        raise FormatError(
            f"{steps:,} rows with {len(options.targets)} series of {horizon} steps are "
            f"more than {MAX_VALUES:,} values to forecast",
            "horizon",
        )
    ahead = leads(window, horizon) if options.known_columns else []
    known = 2 * len(cycles) + len(found.known)
    channels = len(found.channels.names) + 2 * len(cycles) + known * len(ahead)
    if steps * channels > MAX_VALUES:
        raise FormatError(
            f"{steps:,} rows with {channels:,} inputs, those known in advance among "
            f"them, are more than {MAX_VALUES:,} values; a longer window needs fewer",
            "known",
        )
    whole = found.whole
    count = sum(map(len, found.windows(whole).starts)) * window * channels
    if not whole[1:].all() and count > MAX_VALUES:
        raise FormatError(
            f"windows of {window} steps between gaps, or of several series, are "
            f"{count:,} values, more than {MAX_VALUES:,}",
            "window",
        )


def _check_targets(names: Sequence[str], values: NDArray[np.float64]) -> None:
    """
    Raises:
        FormatError: a target never changes, or has no value.
    """
    for name, column in zip(names, values.T, strict=True):
        known = column[np.isfinite(column)]
        if (known == known[:1]).all():
            is_what = f"is {known[0]:g} in every row" if len(known) else "has no value in any row"
            raise FormatError(f"column {name!r} {is_what}", "target")


def _calendar(rows: Rows, options: Options) -> tuple[list[str], NDArray[np.float64] | None]:
    """The cycles of the calendar that are known in advance, and where each row is in them.

    Raises:
        FormatError: the times have none.
    """
    if CALENDAR not in options.known_columns:
        return [], None
    if rows.times.instants is None:
        raise FormatError(
            "the times are numbers, which have no calendar; columns says of numbers since 1970 "
            "that they are a date",
            "known",
        )
    if rows.step is None:
        raise FormatError(
            "times without a usual step have no calendar in advance; options.frequency brings them "
            "to one",
            "known",
        )
    cycles = cycles_of(rows.step, rows.times.unit)
    if not cycles:
        step = in_words(rows.step, rows.times.unit)
        raise FormatError(f"steps of {step} go through no cycle of the calendar", "known")
    instants = rows.times.instants
    if rows.origin is None:
        instants = instants[rows.order]
    return cycles, np.array([calendar_of(time, cycles) for time in instants.tolist()])


def _tested(
    table: RawTable,
    rows: Rows,
    starts: NDArray[np.int64],
    names: Sequence[str],
    options: Options,
) -> dict[str, list[str]]:
    """The cells of the rows from the first window of the test split on, as they stand in the file,
    series after series.
    """
    assert options.window is not None and options.horizon is not None  # noqa: S101 - as in `read`
    series_of = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    needed = np.zeros(len(series_of), dtype=bool)
    for place in np.unique(series_of[starts]):
        of_series = starts[series_of[starts] == place]
        needed[of_series[0] : of_series[-1] + options.window + options.horizon] = True
    in_file = np.flatnonzero(needed[rows.places])
    in_file = in_file[np.argsort(series_of[rows.places[in_file]], kind="stable")]
    return {name: table.texts[name].take(in_file).to_pylist() for name in names}


def _reading(
    rows: Rows, options: Options, time: str, decimal: str, channels: Channels
) -> dict[str, Any]:
    """What a prediction needs to find the rows of a window, and the times after it."""
    of_time: dict[str, Any] = {
        "name": time,
        "unit": rows.times.unit,
        "step": rows.step,
        "order": rows.times.order,
        "newest_first": rows.turned > 0,
    }
    if len(options.time_columns) > 1:
        of_time["columns"] = list(options.time_columns)
    if rows.copied or rows.put_back:
        of_time["repeated"] = True
    if rows.times.is_clock:
        of_time["clock"] = True
    elif rows.times.unit == "number" and decimal != ".":
        of_time["decimal"] = decimal
    if rows.times.unit != "number" and rows.times.order is None:
        of_time["has_zone"] = rows.times.is_zoned
    elif rows.times.is_zoned:
        of_time["zoned"] = True
    if rows.times.month_end:
        of_time["month_end"] = True
    if options.frequency:
        of_time |= {"frequency": options.frequency.strip(), "origin": rows.origin}
    found = {
        "time": of_time,
        "reading": {name: dict(channels.reading[name]) for name in channels.names},
    }
    if not (columns := options.series_columns):
        return found
    return found | {"series_column": columns[0] if len(columns) == 1 else list(columns)}


def _columns(
    table: RawTable, options: Options, unit: str, told: Mapping[str, Column]
) -> tuple[Column, ...]:
    """All columns in the order of the file."""
    kind = Kind.NUMBER if unit == "number" else Kind.DATE
    found = {}
    for name in options.time_columns:
        found[name] = _column(name, table.texts[name], kind, Role.TIME)
    for name in options.series_columns:
        found[name] = _column(name, table.texts[name], Kind.CATEGORY, Role.SERIES)
    for name, column in told.items():
        is_known = name in options.known_columns and column.role is Role.INPUT
        found[name] = replace(column, note="known in advance") if is_known else column
    return tuple(found[name] for name in table.texts if name in found)


def _check_columns(
    table: RawTable, options: Options, times: Sequence[str], targets: Sequence[str]
) -> None:
    """
    Raises:
        FormatError: the options name a column that is not there, or what it cannot be.
    """
    chosen(table.texts, tuple(options.columns), "columns", is_required=False)
    of_series = chosen(table.texts, options.series_columns, "series", is_required=False)
    if named := {*of_series} & {*times, *targets}:
        raise FormatError(f"{named.pop()!r} is the time or a target", "series")
    others = [*times, *of_series]
    for name, kind in options.columns.items():
        if ([name] == list(times) and kind == "date") or (name in targets and kind == "number"):
            continue
        if kind not in KINDS or name in (*others, *targets):
            raise FormatError(
                f"{name!r} cannot be {kind}: columns of a series are {', '.join(KINDS[:-1])}, or "
                "left out by ignore; time, series and target have options of their own",
                "columns",
            )
    _check_known(table, options, [*others, *targets])


def _check_has_a_row_a_time(names: Sequence[str]) -> None:
    """
    Raises:
        FormatError: the columns are times.
    """
    times = [name for name in names if date_of(name) is not None]
    if len(times) > 3 and len(times) > 0.5 * len(names):
        raise FormatError(
            f"{len(times)} of {len(names)} columns are times, from {times[0]!r} on: a series has a "
            "row a time and a column of its values, as melt of pandas and pivot_longer of R make it"
        )


def _check_known(table: RawTable, options: Options, others: Sequence[str]) -> None:
    """
    Raises:
        FormatError: a column that is not there, or that cannot be known in advance.
    """
    names = options.known_columns
    if CALENDAR in names and CALENDAR in table.texts:
        raise FormatError(
            f"{CALENDAR!r} stands for the calendar of the times, and is a column too: rename that",
            "known",
        )
    named = tuple(name for name in names if name != CALENDAR)
    chosen(table.texts, named, "known", is_required=False)
    for name in named:
        if name in others or options.columns.get(name) in LEFT_OUT:
            raise FormatError(
                f"{name!r} cannot be known in advance: it is the time, the series, a target or "
                "left out",
                "known",
            )


def _column(name: str, texts: Texts, kind: Kind, role: Role) -> Column:
    import pyarrow.compute as pc

    distinct = pc.unique(texts).to_pylist()
    example = next((text[:80] for text in distinct if text), None)
    missing = int(pc.sum(pc.equal(texts, "")).as_py() or 0)
    return Column(name, kind, role, missing, len(distinct) - ("" in distinct), example)
