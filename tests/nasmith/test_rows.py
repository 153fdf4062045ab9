"""Rows to predict from: what Python, NumPy and pandas have in cells, as JSON by hand."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasmith.rows import rows_of


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("Köln", '"Köln"'),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (0.5, "0.5"),
        (float("nan"), "null"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (np.float64("nan"), "null"),
        (pd.NA, "null"),
        (pd.NaT, "null"),
        (datetime.date(2023, 4, 3), '"2023-04-03"'),
        (datetime.datetime(2023, 4, 3, 13, 45), '"2023-04-03T13:45:00"'),
        (datetime.time(13, 45), '"13:45:00"'),
        (datetime.timedelta(hours=2), '"2:00:00"'),
        (pd.Timestamp("2023-04-03"), '"2023-04-03T00:00:00"'),
        (np.datetime64("2023-04-03"), '"2023-04-03"'),
        (np.datetime64("NaT"), "null"),
        (Decimal("12.50"), '"12.50"'),
    ],
)
def test_cells_are_what_people_have(cell: Any, shown: str) -> None:
    written = json.dumps(rows_of([{"a": cell}]), ensure_ascii=False, allow_nan=False)
    assert written == f'[{{"a": {shown}}}]'


def test_a_data_frame_is_its_rows() -> None:
    frame = pd.DataFrame(
        {"n": [1.5, None], "d": pd.to_datetime(["2023-04-03", None])}, index=[4, 9]
    )
    assert rows_of(frame) == [{"n": 1.5, "d": "2023-04-03T00:00:00"}, {"n": None, "d": None}]
    assert rows_of(row for row in ("a text", {1: "x"})) == ["a text", {"1": "x"}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{}, {"a": b"x"}], "row 1, column 'a': a cell is a text, .* got bytes"),
        ([{"a": [1]}], "row 0, column 'a': a cell is a text, .* got list"),
        ([{"a": np.zeros(2)}], "row 0, column 'a': a cell is a text, .* got ndarray"),
        ([{"a": float("inf")}], "row 0, column 'a': got inf, allowed is a finite number"),
        ([{"a": np.float32("-inf")}], "row 0, column 'a': got -inf, allowed is a finite number"),
        ([7], "row 0 is int, and neither a mapping from columns to cells nor a text"),
        ("a text", "rows are a list of them, or a data frame, got str"),
        ({"a": 1}, "rows are a list of them, or a data frame, got dict"),
        (None, "rows are a list of them, or a data frame, got NoneType"),
    ],
)
def test_what_is_no_row_is_named(rows: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        rows_of(rows)
