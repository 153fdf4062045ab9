"""Parquet files as pandas and other programs write them."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

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
