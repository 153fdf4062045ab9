"""Forecasts from the recent rows of series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from models.exporters.predicting.predictor import (
    BATCH,
    Missing,
    PredictionError,
    check_missing,
    is_array,
)
from models.exporters.predicting.recent_rows import (
    Recent,
    SeriesError,
    history_of,
    recent_of,
    series_columns,
    time_columns,
)
from models.exporters.predicting.results import Rows
from models.exporters.predicting.rows import RowsPredictor


class SeriesPredictor(RowsPredictor):
    """Of one series, or of several that a column tells apart. Of several, one that gives no
    forecast is in `no_forecast` and has one result, without time and values.
    """

    @property
    def columns(self) -> list[str]:
        reading, channels = self.preprocessing.get("reading", {}), self.preprocessing["series"]
        names = list(dict.fromkeys(reading.get(c, {}).get("column", c) for c in channels))
        return [*time_columns(self.preprocessing), *series_columns(self.preprocessing), *names]

    def table(self, samples: Any, *, missing: Missing = "error") -> tuple[list[str], Rows]:
        """With the series and the time of each step before it, as far as there are any."""
        if is_array(samples):
            return super().table(samples, missing=missing)
        check_missing(missing)
        self._forget()
        unable: dict[tuple[str, ...], SeriesError] = {}
        recent = self._recent(samples, missing, unable)
        names, rows = self._results(self._outputs([windows_of(recent)]))
        horizon = self.preprocessing["target"]["horizon"]
        before: list[tuple[Any, ...]] = [()] * (len(recent) * horizon)
        if several := series_columns(self.preprocessing):
            names = [*several, *names]
            before = [series.names for series in recent for _ in range(horizon)]
        if recent[0].times is not None:
            names.insert(len(before[0]), "time")
            times = [time for series in recent for time in series.times or ()]
            before = [(*known, time) for known, time in zip(before, times, strict=True)]
        found = [(*known, *row) for known, row in zip(before, rows, strict=True)]
        nothing = (None,) * (len(names) - len(several))
        return names, [*found, *((*series, *nothing) for series in unable)]

    def outputs(self, samples: Any, *, missing: Missing = "error", every: bool = False) -> Tensor:
        """As of every predictor, for each series but those in `no_forecast`. With `every` there is
        one for each window of the rows that a whole horizon follows, so that it can be held against
        what came; series after series.
        """
        if not every:
            return super().outputs(samples, missing=missing)
        self._forget()
        return self._outputs(self._every(samples))

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        yield windows_of(self._recent(samples, missing, {}))

    def _every(self, samples: Any) -> Iterator[Tensor]:
        length = self.preprocessing["input"]["shape"][0]
        with _named():
            found = history_of(self._rows(samples, "error"), self.preprocessing)
        self.turned = any(series.turned for series in found)
        for series in found:
            if not series.begins:
                continue
            windows = torch.tensor(series.channels, dtype=torch.float64).unfold(0, length, 1)
            for start in range(0, len(series.begins), BATCH):
                yield windows[series.begins[start : start + BATCH]].transpose(1, 2)

    def _recent(
        self, samples: Any, missing: Missing, unable: dict[tuple[str, ...], SeriesError]
    ) -> list[Recent]:
        """Of each series but those that are `unable`, as `recent_of` has them."""
        rows = self._rows(samples, missing)
        with _named():
            found = recent_of(rows, self.preprocessing, self.filled, unable)
        self.turned = any(series.turned for series in found)
        self.no_forecast = {", ".join(names): str(reason) for names, reason in unable.items()}
        for series in found:
            for column, count in series.unknown.items():
                self.unknown[column] = self.unknown.get(column, 0) + count
        return found

    def _rows(self, samples: Any, missing: Missing) -> list[Mapping[str, Any]]:
        """Rows with all columns but those that are `filled`."""
        if getattr(getattr(samples, "index", None), "name", None) == self.columns[0]:
            samples = samples.reset_index()  # of a data frame, which has the times there
        given = self._given(samples)
        rows: list[Mapping[str, Any]] = []
        if isinstance(given, dict):
            rows += [
                dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)
            ]
        else:
            rows = given
        names = dict.fromkeys(str(name) for row in rows for name in row)
        if not rows:
            raise PredictionError("there is no row to predict from")
        self.ignored = [name for name in names if name not in self.columns]
        self.filled = [name for name in self.columns if name not in names]
        needed = {*time_columns(self.preprocessing), *self.preprocessing["target"]["names"]}
        if self.filled and (missing == "error" or needed & set(self.filled)):
            raise PredictionError(self._absent(list(names), "the series"))
        for name, of in self.preprocessing.get("reading", {}).items():
            self._count_unsigned(name, (row.get(name) for row in rows), of)
        return rows


@contextmanager
def _named() -> Iterator[None]:
    """What is wrong with rows, as a predictor says it."""
    try:
        yield
    except SeriesError as error:
        raise PredictionError(str(error), error.row, error.column) from None


def windows_of(recent: Sequence[Recent]) -> Tensor:
    """The raw samples.

    Shapes:
        (series, window, channels) float64
    """
    return torch.tensor([series.window for series in recent], dtype=torch.float64)
