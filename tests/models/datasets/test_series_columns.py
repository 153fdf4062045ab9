"""Each column of a series is read by what its own cells say, in the file and in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.exporters.predicting.recent_rows import history_of, recent_of
from tests.models.datasets.test_series_files import (
    HORIZON,
    OPTIONS,
    ROWS,
    WINDOW,
    as_a_bundle_reads,
    codes,
    file,
    hours,
    remark,
)
from tests.models.support.uploads import read

COUNTS = list(range(ROWS))


def uploaded(folder: Path, cells: Sequence[Any], name: str = "w", **options: Any) -> Dataset:
    content = file(hours(), v=COUNTS, **{name: cells})
    return read(folder, content, "forecasting", **{**OPTIONS, **options})


def repeated(*cells: Any) -> list[Any]:
    return [cells[row % len(cells)] for row in range(ROWS)]


@pytest.mark.parametrize(
    ("cells", "numbers", "told"),
    [
        (["yes", "no", "Yes"], [1, 0, 1], []),
        (["ja", "nein"], [1, 0], []),
        (["TRUE", "FALSE", "true"], [1, 0, 1], []),
        (["0", "1", "1"], [0, 1, 1], []),
        (["12 kg", "900 g", "1.5 kg"], [12, 0.9, 1.5], ["units"]),
        (["21.5 °C", "19 °C", "-3.25 °C"], [21.5, 19, -3.25], ["units"]),
        (["13:45", "7:05", "0:30"], [49_500, 25_500, 1800], ["clock_times"]),
        (["1h 30m", "45m", "2h"], [5400, 2700, 7200], ["clock_times"]),
        (["2 days 01:00:00", "0 days 00:30:00"], [176_400, 1800], ["clock_times"]),
        (["$1 200.50", "$80", "($7)"], [1200.5, 80, -7], ["number_marks"]),
        (["12 %", "7.5 %"], [0.12, 0.075], ["number_marks"]),
        (["15-", "3", "1"], [-15, 3, 1], ["number_marks"]),
    ],
)
def test_a_column_is_read_as_the_kind_that_it_is(
    cells: list[str], numbers: list[float], told: list[str], tmp_path: Path
) -> None:
    found = uploaded(tmp_path, repeated(*cells))
    first = found.raw_rows["t"][0]
    expected = [numbers[(hours().index(first) + row) % len(numbers)] for row in range(WINDOW)]
    np.testing.assert_allclose(np.asarray(found.raw_test.x)[0, :, 1], expected)
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)
    assert [code for code in codes(found) if code != "sentinel_values"] == told


def test_words_are_missing_in_the_columns_whose_other_cells_are_numbers(tmp_path: Path) -> None:
    content = file(
        hours(),
        v=["n/a" if row == 20 else row for row in COUNTS],
        w=repeated("-", "NA", "on duty"),
    )
    found = read(tmp_path, content, "forecasting", **OPTIONS)
    assert found.preprocessing["series"] == ["v", "w=-", "w=NA", "w=on duty"]
    assert len(found.train) == 72 - 8 + 1 - 8 and remark(found, "bad_cells").count == 1
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)


def test_words_of_a_category_are_channels_and_none_is_no_gap(tmp_path: Path) -> None:
    found = uploaded(tmp_path, repeated("Easter", "", "", "Christmas"), known=["w"])
    assert not {"bad_cells", "gaps"} & set(codes(found))
    assert found.preprocessing["series"] == ["v", "w=Christmas", "w=Easter"]
    assert found.preprocessing["known"]["columns"] == ["w=Christmas", "w=Easter"]
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)
    rows = [
        {"t": time, "v": "" if row >= WINDOW else row, "w": word}
        for row, (time, word) in enumerate(
            zip(hours(8), ["Easter", "", None, "Lent", "", "", "Christmas", ""], strict=True)
        )
    ]
    (recent,) = recent_of(rows, found.preprocessing)
    assert recent.unknown == {"w": 1}  # Lent
    assert [row[2] for row in recent.window] == [1, 0, 0, 0, 0, 0]  # Easter
    assert [row[3] for row in recent.window] == [0, 0, 0, 0, 1, 0]  # Christmas in two steps


def test_what_is_no_channel_is_left_out_and_told(tmp_path: Path) -> None:
    content = file(
        hours(),
        v=COUNTS,
        id=[1000 + row for row in COUNTS],
        until=hours(ROWS + 1)[1:],
        unit=["kWh"] * ROWS,
        note=[f"seen by {row} of us" for row in COUNTS],
        code=[f"c{row % 70}" for row in COUNTS],
        late=[0] * 100 + [1] * 20,
        sky=["grey", "blue"] * 50 + ["red"] * 20,
    )
    found = read(tmp_path, content, "forecasting", **OPTIONS)
    assert found.preprocessing["series"] == ["v", "sky=blue", "sky=grey"]
    told = {(remark.code, remark.where) for remark in found.remarks}
    assert told == {
        ("identifier_column", "id"),
        ("columns_ignored", "until"),
        ("constant_column", "unit"),
        ("columns_ignored", "note"),
        ("columns_ignored", "code"),
        ("constant_column", "late"),
        ("unseen_values", "sky"),
    }
    ignored = [column.name for column in found.columns if column.role.value == "ignored"]
    assert ignored == ["id", "until", "unit", "note", "code", "late"]
    assert set(found.raw_rows) == {"t", "v", "sky"}


def test_a_target_that_changes_after_training_alone_is_refused(tmp_path: Path) -> None:
    content = file(hours(), v=[3] * 80 + [*range(40)])
    with pytest.raises(FormatError, match=r"'v' is 3 in every row of the train split.* 72 rows"):
        read(tmp_path, content, "forecasting", **OPTIONS)


@pytest.mark.parametrize("frequency", [None, "1h"])
def test_rows_to_forecast_are_in_no_split(frequency: str | None, tmp_path: Path) -> None:
    plain = file(hours(), v=COUNTS, price=repeated(1, 2, 3))
    times = hours(ROWS + 24)
    future = file(times, v=[*COUNTS, *[""] * 24], price=[*repeated(1, 2, 3), *[7] * 24])
    options = {**OPTIONS, "known": ["price"], "frequency": frequency}
    found, whole = (
        read(tmp_path, content, "forecasting", **options) for content in (future, plain)
    )
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(found, split).x, getattr(whole, split).x)
    told = remark(found, "rows_to_forecast")
    assert (told.count, told.where) == (24, "row 122") and "bad_cells" not in codes(found)
    recent_rows = [
        {"t": time, "v": value, "price": price}
        for time, value, price in zip(
            times, [*COUNTS, *[""] * 24], [*repeated(1, 2, 3), *[7] * 24], strict=True
        )
    ]
    (recent,) = recent_of(recent_rows, found.preprocessing)
    assert recent.times == times[ROWS : ROWS + HORIZON]
    assert recent.window[-1][2] == 7


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (repeated("a", "b"), {"target": "w"}, "row 2, column 'w': 'a' is no number, as all cells"),
        (repeated("a", "b"), {"columns": {"w": "number"}}, "is no number, as all cells"),
        (repeated("a", "b"), {"columns": {"w": "date"}}, "boolean, category, identifier, or left"),
        (repeated("yes", "no"), {"target": ["w"]}, "is no number, as all cells"),
        ([""] * ROWS, {"target": ["w"]}, "is no number, as all cells"),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_what_is_wanted_is_refused(
    cells: list[str], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=message):
        uploaded(tmp_path, cells, **options)


def test_datasets_from_before_columns_were_read_apart_are_asked_as_they_were() -> None:
    old = {
        "input": {"shape": [2, 2], "dtype": "float64"},
        "series": ["a", "b"],
        "target": {"names": ["a"], "horizon": 1},
        "decimal": ",",
        "decimals": {"b": "."},
        "missing": ["none"],
    }
    rows = [{"a": "1,5", "b": "2.5"}, {"a": "3", "b": 4.5}, {"a": "none", "b": "x"}]
    (recent,) = recent_of(rows, old)
    assert recent.window == [[1.5, 2.5], [3.0, 4.5]]
    (history,) = history_of([*rows[:2], {"a": 1, "b": 1}], old)
    assert history.begins == [0]
