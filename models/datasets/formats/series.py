"""CSV or Parquet with a column of time, to forecast some of its series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, series
from models.datasets.columns import FIRST_ROW, is_parquet, is_text, numbers, read_columns
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.formats.tabular import chosen


@formats.register("series")
class Series:
    tasks = frozenset({"forecasting"})
    options = frozenset({"time", "target", "window", "horizon"})
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
        columns = read_columns(upload.path)
        (time,) = chosen(columns, (options.time,) if options.time else (), "time")
        targets = chosen(columns, options.targets, "target")
        if time in targets:
            raise FormatError(f"{time!r} is the time, which cannot be forecast", "target")
        _check_order(time, columns[time])
        names = [name for name in columns if name != time]
        values = np.stack([numbers(name, columns[name]) for name in names], axis=1)
        if len(values) * options.horizon * len(targets) > MAX_VALUES:
            raise FormatError(
                f"{len(values):,} rows with {len(targets)} series of {options.horizon} steps are "
                f"more than {MAX_VALUES:,} values to forecast",
                "horizon",
            )
        split = options.split
        return series.forecasting(
            upload.name,
            values,
            names,
            targets,
            window=options.window,
            horizon=options.horizon,
            validation=split.validation,
            test=split.test,
        )


def _check_order(name: str, values: NDArray[Any]) -> None:
    """Each row is later than the one before: numbers, or dates as in ISO 8601."""
    times = values
    if values.dtype.kind == "U":
        try:
            times = values.astype("datetime64[us]")
        except ValueError:
            for row, text in enumerate(values.tolist(), FIRST_ROW):
                try:
                    np.datetime64(text, "us")
                except ValueError:
                    raise FormatError(
                        f"row {row}, column {name!r}: {text[:40]!r} is no date; dates are "
                        "written as 2026-01-31 or 2026-01-31 12:00:00"
                    ) from None
    late = np.flatnonzero(~(times[1:] > times[:-1]))
    if len(late):
        row = int(late[0]) + 1
        raise FormatError(
            f"row {row + FIRST_ROW}, column {name!r}: {values[row]!s} is not later than "
            f"{values[row - 1]!s} in the row before"
        )
