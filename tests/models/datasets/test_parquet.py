"""Parquet files as pandas and other programs write them."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.datasets.preprocess import encode_cell, encode_numbers
from models.exporters.predicting.recent_rows import recent_of
from tests.models.support.uploads import read

ROWS = 60
TABLE = pd.DataFrame({"a": np.arange(ROWS) % 7 / 3, "label": ["x", "y"] * (ROWS // 2)})
CLASSES: dict[str, Any] = {"task": "tabular_classification", "target": "label"}


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "time"), [("day", "day"), (None, "index")])
def test_an_index_that_the_options_name_is_a_column(
    name: str | None, time: str, tmp_path: Path
) -> None:
    days = pd.date_range("2026-01-01", periods=ROWS, name=name)
    content = parquet(pd.DataFrame({"v": np.arange(ROWS)}, index=days))
    found = read(tmp_path, content, "forecasting", time=time, target="v", window=4, horizon=1)
    assert [(c.name, c.role) for c in found.columns] == [("v", "target"), (time, "time")]
    assert found.preprocessing["time"]["step"] == 86_400
    table = TABLE.set_index("label")
    assert read(tmp_path, parquet(table), **CLASSES).preprocessing["classes"] == ["x", "y"]
    kept = TABLE.set_index(pd.Index(np.arange(ROWS), name="place"))
    assert [c.name for c in read(tmp_path, parquet(kept), **CLASSES).columns] == ["a", "label"]


def test_times_of_day_and_texts_without_a_type_are_read(tmp_path: Path) -> None:
    clock = [datetime.time(i % 24, 5) for i in range(ROWS)]
    found = read(tmp_path, parquet(TABLE.assign(t=clock, b=[b"r", b"g", b"b"] * 20)), **CLASSES)
    column = {c.name: c for c in found.columns}
    assert column["t"].example == "00:05:00" and column["t"].kind == "number"
    assert column["b"].example == "r" and column["b"].distinct == 3
    with pytest.raises(ValueError, match="column 'b' holds bytes that are no UTF-8"):
        read(tmp_path, parquet(TABLE.assign(b=[b"\xff"] * ROWS)), **CLASSES)


def test_a_column_of_lists_can_be_left_out(tmp_path: Path) -> None:
    content = parquet(TABLE.assign(found=[[1, 2]] * ROWS))
    with pytest.raises(ValueError, match=r"'found' holds list<.*options.columns leaves it out"):
        read(tmp_path, content, **CLASSES)
    left = read(tmp_path, content, columns={"found": "ignore"}, **CLASSES)
    assert [(c.name, c.role) for c in left.columns][2] == ("found", "ignored")
    assert left.fingerprint == read(tmp_path, parquet(TABLE), **CLASSES).fingerprint


def test_durations_are_seconds_whichever_way_they_come(tmp_path: Path) -> None:
    passed = pd.to_timedelta([-5400, 90_000, 0, 0.25, None, 3600] * 10, unit="s")
    content = parquet(TABLE.assign(took=passed, label=np.arange(ROWS) % 2))
    found = read(tmp_path, content, "tabular_classification", target="label")
    told = {c.name: (c.kind, c.missing) for c in found.columns}
    assert told["took"] == ("number", 10)
    (took,) = [c for c in found.preprocessing["columns"] if c["name"] == "took"]
    one_of_each = [passed[0], passed[1].to_pytimedelta(), str(passed[3]), "1:00:00"]
    assert encode_numbers(one_of_each, took).tolist() == [-5400, 90_000, 0.25, 3600]
    times = pd.date_range("2026-01-01", periods=ROWS, freq="h")
    content = parquet(pd.DataFrame({"t": times, "v": np.arange(ROWS), "took": passed[[0, 1] * 30]}))
    of_series = read(tmp_path, content, "forecasting", time="t", target="v", window=4, horizon=1)
    assert of_series.raw_test.x[0, :2, 1].tolist() in ([-5400, 90_000], [90_000, -5400])


def test_times_with_a_zone_are_what_a_data_frame_shows(tmp_path: Path) -> None:
    times = pd.date_range("2026-03-28", periods=ROWS, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"t": times, "v": np.arange(ROWS) % 7})
    found = read(tmp_path, parquet(frame), "tabular_regression", target="v")
    (column,) = found.preprocessing["columns"]
    assert column["kind"] == "date"
    rows = torch.tensor([encode_cell(time, column) for time in times])
    hour = 2 * np.pi * times.hour.to_numpy() / 24  # as clocks in Berlin show it
    np.testing.assert_allclose(rows[:, 4], np.sin(hour), atol=1e-9)
    assert found.raw_rows["t"][0].endswith(("+01:00", "+02:00"))
    options = {"time": "t", "target": "v", "window": 4, "horizon": 1}
    forecast = read(tmp_path, parquet(frame), "forecasting", **options)
    (recent,) = recent_of(frame.to_dict("records"), forecast.preprocessing)
    assert recent.times == ["2026-03-30T13:00:00+02:00"]
    assert len(forecast.train) == 36 - 5 + 1  # no gap in the night of 23 hours
