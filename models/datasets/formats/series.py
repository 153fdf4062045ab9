"""CSV or Parquet with a column of time, to forecast some of its series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, sentinels, series
from models.datasets.amounts import number_of
from models.datasets.cells import MISSING_WORDS
from models.datasets.columns import is_text, read_table
from models.datasets.formats import MAX_VALUES, FormatError, Options, Upload, formats
from models.datasets.formats.tabular import WRITING, chosen, unnamed
from models.datasets.guessed_kind import cells_of
from models.datasets.kinds import PLAIN
from models.datasets.parquet import is_parquet
from models.datasets.raw_table import RawTable, Texts
from models.datasets.series_remarks import (
    of_cells,
    of_constants,
    of_grid,
    of_series,
    of_signs,
    of_times,
)
from models.datasets.series_rows import Rows, merged, resampled, rows_of
from models.datasets.steps import calendar_of, cycles_of, leads
from models.datasets.times import (
    in_words,
)
from models.remarks import Column, Kind, Role

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
        (time,) = chosen(table.texts, (options.time,) if options.time else (), "time")
        targets = chosen(table.texts, options.targets, "target")
        if time in targets:
            raise FormatError(f"{time!r} is the time, which cannot be forecast", "target")
        told = _inputs(table, options, time, targets)
        names = [name for name, column in told.items() if column.role is not Role.IGNORED]
        read = [_numbers(table.texts[name], table.sign_of(name), options) for name in names]
        values = np.stack(read, axis=1)
        remarks = [
            *table.remarks,
            *of_signs(table, names),
            *of_cells(table, names, values, told, options),
        ]
        for name in names:
            cells = cells_of(name, table.texts[name], table.decimal, _missing_words(options))
            remarks += sentinels.of_numbers(cells)
        rows = rows_of(table, options, time)
        values = values[rows.order]
        _check_targets(targets, [values[:, names.index(name)] for name in targets])
        remarks += of_constants(names, values)
        if options.frequency:
            rows, values = resampled(rows, values, options.frequency)
            remarks.append(of_grid(rows, time, options.frequency, table.rows))
        elif rows.copied or rows.put_back:
            rows, values = merged(rows, values, rows.times.values[rows.order])
        cycles, calendar = _calendar(rows, options)
        if len(values) * options.horizon * len(targets) > MAX_VALUES:
            raise FormatError(
                f"{len(values):,} rows with {len(targets)} series of {options.horizon} steps are "
                f"more than {MAX_VALUES:,} values to forecast",
                "horizon",
            )
        is_read: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
        whole = rows.follows & is_read
        whole[1:] &= is_read[:-1]
        found = _windows(rows, whole, options)
        ahead = leads(options.window, options.horizon) if options.known_columns else []
        known = 2 * len(cycles) + len([n for n in options.known_columns if n != CALENDAR])
        channels = len(names) + 2 * len(cycles) + known * len(ahead)
        if len(values) * channels > MAX_VALUES:
            raise FormatError(
                f"{len(values):,} rows with {channels:,} inputs, those known in advance among "
                f"them, are more than {MAX_VALUES:,} values; a longer window needs fewer",
                "known",
            )
        count = sum(map(len, found.starts)) * options.window * channels
        if not whole[1:].all() and count > MAX_VALUES:
            raise FormatError(
                f"windows of {options.window} steps between gaps, or of several series, are "
                f"{count:,} values, more than {MAX_VALUES:,}",
                "window",
            )
        dataset = series.forecasting(
            upload.name,
            values,
            names,
            targets,
            window=options.window,
            horizon=options.horizon,
            validation=options.split.validation,
            test=options.split.test,
            lengths=rows.lengths,
            follows=whole,
            known=[name for name in options.known_columns if name != CALENDAR],
            cycles=cycles,
            calendar=calendar,
        )
        remarks += of_times(rows, time, _windows(rows, rows.follows, options).crossing)
        remarks += of_series(rows, options, found.short)
        read_columns = [time, *([options.series] if options.series else []), *names]
        return replace(
            dataset,
            raw_rows=_tested(table, rows, found.starts[2], read_columns, options),
            preprocessing={
                **dataset.preprocessing,
                **_reading(table, rows, options, time, names),
                **unnamed(table, ()),
            },
            columns=_columns(table, options, time, rows.times.unit, told),
            remarks=tuple(remarks),
        )


def _check_targets(names: Sequence[str], columns: Sequence[NDArray[np.float64]]) -> None:
    """
    Raises:
        FormatError: a target never changes.
    """
    for name, values in zip(names, columns, strict=True):
        known = values[np.isfinite(values)]
        if len(known) and (known == known[0]).all():
            raise FormatError(f"column {name!r} is {known[0]:g} in every row", "target")


def _calendar(rows: Rows, options: Options) -> tuple[list[str], NDArray[np.float64] | None]:
    """The cycles of the calendar that are known in advance, and where each row is in them.

    Raises:
        FormatError: the times have none.
    """
    if CALENDAR not in options.known_columns:
        return [], None
    if rows.times.instants is None:
        raise FormatError("the times are numbers, which have no calendar", "known")
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


def _windows(rows: Rows, follows: NDArray[np.bool_], options: Options) -> series.Windows:
    assert options.window is not None and options.horizon is not None  # noqa: S101 - as in `read`
    return series.windows_of(
        rows.lengths,
        follows,
        window=options.window,
        horizon=options.horizon,
        validation=options.split.validation,
        test=options.split.test,
    )


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
    table: RawTable, rows: Rows, options: Options, time: str, names: Sequence[str]
) -> dict[str, Any]:
    """What a prediction needs to find the rows of a window, and the times after it."""
    of_time: dict[str, Any] = {
        "name": time,
        "unit": rows.times.unit,
        "step": rows.step,
        "order": rows.times.order,
        "newest_first": rows.turned > 0,
    }
    if rows.copied or rows.put_back:
        of_time["repeated"] = True
    if rows.times.month_end:
        of_time["month_end"] = True
    if options.frequency:
        of_time |= {"frequency": options.frequency.strip(), "origin": rows.origin}
    found: dict[str, Any] = {"time": of_time}
    if table.decimal != ".":
        found["decimal"] = table.decimal
    signs = {name: table.sign_of(name) for name in names}
    if own := {name: sign for name, sign in signs.items() if sign != table.decimal}:
        found["decimals"] = own
    if options.missing is not None:
        found["missing"] = sorted({word.strip().lower() for word in options.missing})
    return found | {"series_column": options.series} if options.series else found


def _columns(
    table: RawTable, options: Options, time: str, unit: str, told: dict[str, Column]
) -> tuple[Column, ...]:
    """All columns in the order of the file."""
    kind = Kind.NUMBER if unit == "number" else Kind.DATE
    found = told | {time: _column(time, table.texts[time], kind, Role.TIME)}
    if options.series:
        texts = table.texts[options.series]
        found[options.series] = _column(options.series, texts, Kind.CATEGORY, Role.SERIES)
    return tuple(found[name] for name in table.texts)


def _inputs(
    table: RawTable, options: Options, time: str, targets: Sequence[str]
) -> dict[str, Column]:
    """The columns beside the time and the series, as they are told; the ones left out are ignored.

    Raises:
        FormatError: the options name a column that is not there, or what it cannot be.
    """
    chosen(table.texts, tuple(options.columns), "columns", is_required=False)
    others = [time]
    if options.series:
        others += chosen(table.texts, (options.series,), "series")
        if options.series == time or options.series in targets:
            raise FormatError(f"{options.series!r} is the time or a target", "series")
    for name, kind in options.columns.items():
        if name == time and kind == "date":
            continue
        if kind not in ("number", "ignore") or name in (*others, *targets):
            raise FormatError(
                f"{name!r} cannot be {kind}: columns of a series are numbers, or left out by "
                "ignore; time, series and target have options of their own",
                "columns",
            )
    _check_known(table, options, [*others, *targets])
    told = {}
    for name, texts in table.texts.items():
        if name in others:
            continue
        role = Role.TARGET if name in targets else Role.INPUT
        note = None
        if options.columns.get(name) == "ignore":
            role, note = Role.IGNORED, "left out, as the options say"
        elif name in options.known_columns:
            note = "known in advance"
        told[name] = _column(name, texts, Kind.NUMBER, role, note)
    return told


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
        if name in others or options.columns.get(name) == "ignore":
            raise FormatError(
                f"{name!r} cannot be known in advance: it is the time, the series, a target or "
                "left out",
                "known",
            )


def _missing_words(options: Options) -> tuple[str, ...]:
    """In lower case."""
    words = MISSING_WORDS if options.missing is None else options.missing
    return tuple(word.strip().lower() for word in words)


def _numbers(texts: Texts, decimal: str, options: Options) -> NDArray[np.float64]:
    """The number of every cell, NaN where it shows none."""
    import pyarrow.compute as pc

    missing = set(_missing_words(options))
    encoded = texts.combine_chunks().dictionary_encode()
    dictionary = encoded.dictionary
    numbers = np.full(len(dictionary), np.nan)
    is_plain = pc.match_substring_regex(dictionary, PLAIN).to_numpy(zero_copy_only=False)
    if decimal == "." and is_plain.any():
        plain = dictionary.filter(is_plain).cast("float64").to_numpy(zero_copy_only=False)
        numbers[is_plain] = np.where(np.abs(plain) < 3e38, plain, np.nan)
    for index in np.flatnonzero(np.isnan(numbers)):
        number = number_of(dictionary[index].as_py(), decimal)
        numbers[index] = np.nan if number is None else number
    numbers[[text.lower() in missing for text in dictionary.to_pylist()]] = np.nan
    found: NDArray[np.float64] = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _column(name: str, texts: Texts, kind: Kind, role: Role, note: str | None = None) -> Column:
    import pyarrow.compute as pc

    distinct = pc.unique(texts).to_pylist()
    example = next((text[:80] for text in distinct if text), None)
    missing = int(pc.sum(pc.equal(texts, "")).as_py() or 0)
    return Column(name, kind, role, missing, len(distinct) - ("" in distinct), example, note)
