"""Series as people have them: no window crosses what is missing, and what was done is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.datasets.preprocess import apply
from models.datasets.stored import load, save
from models.exporters.predicting.recent_rows import history_of, recent_of
from models.remarks import Remark
from tests.models.support.uploads import csv, read

WINDOW, HORIZON, ROWS = 6, 2, 120
REACH = WINDOW + HORIZON
OPTIONS: dict[str, Any] = {"time": "t", "target": "v", "window": WINDOW, "horizon": HORIZON}


def file(times: Sequence[Any], **columns: Sequence[Any]) -> bytes:
    columns = columns or {"v": np.arange(len(times)).tolist()}
    whole = {"t": times, **columns}
    return csv({name: [str(cell) for cell in cells] for name, cells in whole.items()})


def hours(count: int = ROWS, form: str = "%Y-%m-%d %H:%M:%S") -> list[str]:
    return pd.date_range("2026-03-01", periods=count, freq="h").strftime(form).tolist()


def codes(found: Dataset) -> list[str]:
    return [remark.code for remark in found.remarks]


def remark(found: Dataset, code: str) -> Remark:
    (one,) = [remark for remark in found.remarks if remark.code == code]
    return one


def counts(found: Dataset, split: str) -> NDArray[Any]:
    """The windows and what follows of a file whose values count its rows, as they stood there."""
    mean, deviation = found.preprocessing["target"]["mean"], found.preprocessing["target"]["std"]
    part = getattr(found, split)
    rows = np.concatenate([part.x[:, :, 0].numpy(), part.y.numpy()], axis=1)
    return np.rint(rows * deviation[0] + mean[0]).astype(int)


def test_no_window_crosses_a_gap(tmp_path: Path) -> None:
    kept = [*range(30), *range(34, 70), *range(71, ROWS)]
    times = hours()
    found = read(tmp_path, file([times[i] for i in kept], v=kept), "forecasting", **OPTIONS)
    n, windows = len(kept), []
    for low, high in ((0, n - 46), (n - 46, n - 23), (n - 23, n)):  # 23 is a fifth of 115
        begins = range(max(low - WINDOW, 0), high - REACH + 1)
        windows.append([kept[i : i + REACH] for i in begins])
    lost = 0
    for split, expected in zip(("train", "validation", "test"), windows, strict=True):
        whole = [w for w in expected if w[-1] - w[0] == REACH - 1]
        lost += len(expected) - len(whole)
        np.testing.assert_array_equal(counts(found, split), whole)
    told = remark(found, "gaps")
    assert told.count == lost > 0 and told.where == "row 32, column 't'"
    assert "2 gaps" in told.message and "1 hour" in told.message
    assert torch.equal(apply(found.raw_test.x, found.preprocessing), found.test.x)
    path = tmp_path / "stored"
    save(found, path)
    again = load(path)
    assert isinstance(again, Dataset) and torch.equal(again.train.x, found.train.x)


def test_rows_without_a_number_are_in_no_window(tmp_path: Path) -> None:
    values: list[Any] = list(range(ROWS))
    values[20], values[21] = "broken", ""
    found = read(tmp_path, file(hours(), v=values), "forecasting", **OPTIONS)
    for split in ("train", "validation", "test"):
        assert not np.isin(counts(found, split), (20, 21)).any()
    assert len(found.train) == 72 - REACH + 1 - (REACH + 1)  # those that hold row 20 or 21
    told = remark(found, "bad_cells")
    assert told.count == 2 and told.where == "row 22, column 'v'" and "'broken'" in told.message
    assert np.isclose(found.preprocessing["target"]["mean"][0], (sum(range(72)) - 41) / 70)
    assert {c.name: c.missing for c in found.columns} == {"t": 0, "v": 2}


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2026-03-01", periods=ROWS, freq="D").strftime("%d.%m.%Y").tolist(),
        pd.date_range("2026-03-01", periods=ROWS, freq="D").strftime("%d %b %Y").tolist(),
        pd.date_range("2026-03-01", periods=ROWS, freq="D").strftime("%Y%m%d").tolist(),
        pd.date_range("2016-01-31", periods=ROWS, freq="ME").strftime("%Y-%m-%d").tolist(),
        pd.date_range("2016-01-01", periods=ROWS, freq="MS").strftime("%m/%d/%Y").tolist(),
        pd.date_range("2026-01-01", periods=ROWS, freq="100ms").astype(str).tolist(),
        pd.date_range("2026-10-24", periods=ROWS, freq="h", tz="Europe/Berlin")
        .strftime("%Y-%m-%dT%H:%M:%S%z").tolist(),
        pd.date_range("1990-01-01", periods=ROWS, freq="YS").year.tolist(),
        pd.bdate_range("2026-01-01", periods=ROWS).astype(str).tolist(),
        list(range(5, 5 + 3 * ROWS, 3)),
    ],
)  # fmt: skip
def test_regular_times_have_no_gap_however_they_are_written(
    tmp_path: Path, times: list[Any]
) -> None:
    found = read(tmp_path, file(times), "forecasting", **OPTIONS)
    assert not {"gaps", "irregular_steps"} & set(codes(found))
    assert len(found.train) == 72 - REACH + 1
    base = found.train.x.untyped_storage().data_ptr()
    assert found.test.x.untyped_storage().data_ptr() == base  # views, which cost nothing twice


def test_newest_first_is_turned_round_and_means_the_same(tmp_path: Path) -> None:
    oldest = read(tmp_path, file(hours()), "forecasting", **OPTIONS)
    turned = file(hours()[::-1], v=list(range(ROWS))[::-1])
    newest = read(tmp_path, turned, "forecasting", **OPTIONS)
    assert newest.fingerprint == oldest.fingerprint
    assert remark(newest, "newest_first").count == ROWS and not oldest.remarks
    assert newest.preprocessing["time"] == {
        "name": "t", "unit": "seconds", "step": 3600.0, "order": None, "newest_first": True,
        "has_zone": False,
    }  # fmt: skip


def test_without_a_usual_step_rows_are_steps_and_that_is_told(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).exponential(10, ROWS)).tolist()
    found = read(tmp_path, file(times), "forecasting", **OPTIONS)
    assert "irregular_steps" in codes(found) and len(found.train) == 72 - REACH + 1
    assert found.preprocessing["time"]["step"] is None


def test_windows_lie_within_one_of_several_series(tmp_path: Path) -> None:
    shops = ["north"] * 60 + ["south"] * 50 + ["new"] * 5
    values = [*range(60), *range(100, 150), *range(900, 905)]
    times = hours(60) + hours(50) + hours(5)
    mixed = np.argsort(np.array(times), kind="stable")  # by time, as many files are
    content = file(
        [times[i] for i in mixed], shop=[shops[i] for i in mixed], v=[values[i] for i in mixed]
    )
    found = read(tmp_path, content, "forecasting", **OPTIONS, series="shop")
    for split, north, south in (
        ("train", (0, 36), (100, 130)),
        ("validation", (36 - WINDOW, 48), (130 - WINDOW, 140)),
        ("test", (48 - WINDOW, 60), (140 - WINDOW, 150)),
    ):
        expected = [
            list(range(i, i + REACH))
            for low, high in (north, south)
            for i in range(low, high - REACH + 1)
        ]
        np.testing.assert_array_equal(counts(found, split), expected)
    train = [*range(36), *range(100, 130)]
    assert np.isclose(found.preprocessing["target"]["mean"][0], np.mean(train))
    assert remark(found, "several_series").count == 2
    short = remark(found, "short_series")
    assert short.count == 1 and "'new'" in short.message
    roles = {column.name: column.role.value for column in found.columns}
    assert roles == {"t": "time", "shop": "series", "v": "target"}
    assert torch.equal(apply(found.raw_test.x, found.preprocessing), found.test.x)


def test_several_columns_may_tell_series_apart(tmp_path: Path) -> None:
    pairs = [(shop, item) for shop in ("a", "b") for item in ("x", "y")]
    content = file(
        hours(60) * 4,
        shop=[shop for shop, _ in pairs for _ in range(60)],
        item=[item for _, item in pairs for _ in range(60)],
        v=range(240),
    )
    found = read(tmp_path, content, "forecasting", **OPTIONS, series=["shop", "item"])
    assert remark(found, "several_series").count == 4
    assert [column.role.value for column in found.columns] == ["time", "series", "series", "target"]
    for first, last in counts(found, "train")[:, [0, -1]].tolist():
        assert first // 60 == last // 60
    rows = [{"t": t, "shop": "b", "item": "x", "v": 1} for t in hours(6)]
    assert [r.names for r in recent_of(rows, found.preprocessing)] == [("b", "x")]


@pytest.mark.parametrize(
    ("others", "steps", "usual"),
    [({"b": "D"}, 1, "1 hour"), ({"b": "D", "c": "15min"}, 2, "1 hour")],
)
def test_series_of_other_steps_are_told(
    others: dict[str, str], steps: int, usual: str, tmp_path: Path
) -> None:
    times = {"a": hours(80)}
    for name, freq in others.items():
        times[name] = pd.date_range("2026-03-01", periods=60, freq=freq).astype(str).tolist()
    content = file(
        [time for part in times.values() for time in part],
        id=[name for name, part in times.items() for _ in part],
        v=range(sum(map(len, times.values()))),
    )
    found = read(tmp_path, content, "forecasting", **OPTIONS, series="id")
    told = remark(found, "other_steps")
    assert told.count == steps and f"other steps than {usual}: 'b' (1 day)" in told.message
    daily = read(tmp_path, content, "forecasting", **{**OPTIONS, "frequency": "D", "series": "id"})
    assert "other_steps" not in codes(daily)


def test_windows_that_hold_a_cell_without_a_value_are_told(tmp_path: Path) -> None:
    values: list[Any] = list(range(ROWS))
    values[30] = "5 E"
    found = read(tmp_path, file(hours(), v=values), "forecasting", **OPTIONS)
    told = remark(found, "windows_left_out")
    assert told.count == REACH and "103 are left" in told.message  # 65 + 23 + 23 without it


@pytest.mark.parametrize("frequency", [None, "4h"])
def test_most_cells_may_be_empty_where_steps_are_means(
    frequency: str | None, tmp_path: Path
) -> None:
    rows = 4 * ROWS
    values = [row if row % 4 == 0 else "" for row in range(rows)]
    content, options = file(hours(rows), v=values), {**OPTIONS, "frequency": frequency}
    if frequency is None:
        with pytest.raises(FormatError, match=r"as most cells .* options.frequency takes the mean"):
            read(tmp_path, content, "forecasting", **options)
        return
    found = read(tmp_path, content, "forecasting", **options)
    np.testing.assert_array_equal(np.diff(counts(found, "train")), 4)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (file([*hours(60), *hours(60)], v=range(120)), {},
         "row 62, column 't': .* not later.* options.series names"),
        (file(hours(20) * 5, id=np.repeat(range(5), 20), v=range(100)),
         {"series": "id", "window": 15}, r"each split of any of 5 series, the longest has 20 rows"),
        (file(hours(), v=[row if row % 5 else "E" for row in range(ROWS)]), {},
         r"too few rows without a gap .*; 24 rows lack a value of v; options.frequency"),
        (file([*hours(9), hours(9)[8], *hours(99)[9:]], v=range(100)), {},
         "row 11, column 't': .* is in row 10 too; options.series"),
        (file([*hours(119), ""]), {}, "row 121, column 't'"),
        (file([*(f"{time}Z" for time in hours(119)), hours()[119]]), {},
         "row 121, column 't': '2026-03-05 23:00:00' has no zone, others have one"),
        (file(hours(), v=range(120), w=["?", *[""] * 99, *range(20)]), {},
         r"row 2, column 'w': '\?' is no number, as most"),
        (file(hours(), v=range(120)), {"series": "shop"}, "there is no column 'shop'"),
        (file(hours(), v=range(120)), {"series": "v"}, "is the time or a target"),
        (file(hours(), v=range(120), w=range(120)), {"columns": {"w": "text"}}, "cannot be text"),
        (file(hours(240)[::4] + hours(240)[1::4], v=range(120)), {}, "not later"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, content: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((FormatError, ValueError), match=message):
        read(tmp_path, content, "forecasting", **{**OPTIONS, **options})


def as_a_bundle_reads(found: Dataset) -> NDArray[Any]:
    """The windows that `predict.py` finds in the rows of the test split of the file."""
    names = list(found.raw_rows)
    cells = zip(*(found.raw_rows[name] for name in names), strict=True)
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    (history,) = history_of(rows, found.preprocessing)
    return np.array([history.channels[at : at + WINDOW] for at in history.begins])


@pytest.mark.parametrize("minutes", [60, 30, 15])
@pytest.mark.parametrize("turned", [False, True])
def test_times_that_clocks_show_twice_are_one_step(
    minutes: int, turned: bool, tmp_path: Path
) -> None:
    count = 60 * ROWS // minutes
    times = pd.date_range(
        "2025-10-21 22:00", periods=count, freq=f"{minutes}min", tz="Europe/Berlin"
    )
    local = times.strftime("%Y-%m-%d %H:%M").tolist()
    order = slice(None, None, -1 if turned else 1)
    content = file(local[order], v=list(range(count))[order])
    found = read(tmp_path, content, "forecasting", **OPTIONS)
    means = pd.Series(range(count), index=local).groupby(level=0).mean()  # pandas as the measure
    whole = read(tmp_path, file(means.index.tolist(), v=means.tolist()), "forecasting", **OPTIONS)
    assert found.fingerprint == whole.fingerprint
    assert remark(found, "clocks_put_back").count == count - len(means) == 60 // minutes
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)


def test_a_time_twice_is_no_change_of_clocks_by_day_or_on_a_weekday(tmp_path: Path) -> None:
    for place in (5, 26 * 24 - 14, 30):  # of March 2026, of which the 29th is a Sunday
        times = hours(800)
        times.insert(place, times[place])
        with pytest.raises(ValueError, match=r"too; options.series .* options.frequency"):
            read(tmp_path, file(times), "forecasting", **OPTIONS)
    found = read(tmp_path, file(times), "forecasting", **OPTIONS, frequency="1h")
    assert remark(found, "resampled").message.startswith("801 rows became 800 steps")


def test_rows_that_are_there_already_count_once(tmp_path: Path) -> None:
    plain = read(tmp_path, file(hours()), "forecasting", **OPTIONS)
    numbers = [*range(100), *range(90, ROWS)]  # an export that begins where the last one ended
    times = [hours()[number] for number in numbers]
    found = read(tmp_path, file(times, v=numbers), "forecasting", **OPTIONS)
    assert found.fingerprint == plain.fingerprint
    assert remark(found, "repeated_rows").count == 10
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_seconds_since_1970_are_dates_where_the_options_say_so(unit: str, tmp_path: Path) -> None:
    times = (pd.to_datetime(hours()) - pd.Timestamp(0)) // pd.Timedelta(1, unit)
    given: dict[str, Any] = {"known": ["calendar"], "columns": {"t": "date"}}
    found = read(tmp_path, file(times.tolist()), "forecasting", **OPTIONS, **given)
    plain = read(tmp_path, file(hours()), "forecasting", **OPTIONS, known=["calendar"])
    assert found.fingerprint == plain.fingerprint and codes(found) == ["date_numbers"]
    np.testing.assert_allclose(as_a_bundle_reads(found), found.raw_test.x, atol=1e-12)


def test_what_never_changes_is_told_or_refused(tmp_path: Path) -> None:
    content = file(hours(), v=range(ROWS), w=[7] * ROWS)
    assert remark(read(tmp_path, content, "forecasting", **OPTIONS), "constant_column").where == "w"
    with pytest.raises(FormatError, match="column 'v' is 3 in every row"):
        read(tmp_path, file(hours(), v=[3] * ROWS), "forecasting", **OPTIONS)
    with pytest.raises(FormatError, match="steps of 15min are shorter than the usual one, 1 hour"):
        read(tmp_path, file(hours()), "forecasting", **OPTIONS, frequency="15min")


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    content = file(hours(), v=range(120), sky=["sunny", "grey"] * 60)
    found = read(tmp_path, content, "forecasting", **OPTIONS, columns={"sky": "ignore"})
    assert found.task.input_shape == (WINDOW, 1)
    assert [column.role.value for column in found.columns] == ["time", "target", "ignored"]
