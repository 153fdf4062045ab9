"""Recent rows as people have them are the windows that the network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.datasets import Dataset, Split
from models.exporters.predicting.recent_rows import SeriesError, recent_of
from models.task import Task
from tests.models.support.uploads import read

WINDOW, HORIZON = 4, 6
OPTIONS: dict[str, Any] = {"time": "t", "target": "v", "window": WINDOW, "horizon": HORIZON}
RNG = np.random.default_rng(0)


def frame(times: Any, count: int = 120) -> pd.DataFrame:
    values = {name: RNG.normal(size=count).round(4) for name in ("v", "price")}
    return pd.DataFrame({"t": times, **values})


def upload(folder: Path, table: pd.DataFrame, **options: Any) -> Dataset:
    content = table.to_csv(index=False).encode()
    return read(folder, content, "forecasting", **{**OPTIONS, **options})


def last_window(found: Dataset) -> Any:
    assert isinstance(found.raw_test, Split)
    return np.asarray(found.raw_test.x[-1])


def without_future(table: pd.DataFrame, rows: int = HORIZON) -> list[dict[str, Any]]:
    """The last rows without what is to forecast."""
    table = table.astype(object)
    table.loc[table.index[-rows:], "v"] = ""
    return table.to_dict("records")


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (pd.date_range("2026-03-01", periods=120, freq="h"), "%Y-%m-%d %H:%M"),
        (pd.date_range("2026-03-01", periods=120, freq="h", tz="Europe/Rome"), "%Y-%m-%dT%H:%M%z"),
        (pd.date_range("2026-03-01", periods=120, freq="D"), "%d.%m.%Y"),
        (pd.date_range("2016-01-31", periods=120, freq="ME"), "%Y-%m-%d"),
        (pd.date_range("2016-01-01", periods=120, freq="MS"), "%Y-%m"),
        (pd.bdate_range("2026-01-01", periods=120), "%Y-%m-%d"),
    ],
)
def test_rows_give_the_window_of_training_with_what_is_known(
    tmp_path: Path, times: pd.DatetimeIndex, form: str
) -> None:
    table = frame(times.strftime(form))
    found = upload(tmp_path, table, known=["price", "calendar"])
    (recent,) = recent_of(without_future(table), found.preprocessing)
    np.testing.assert_allclose(recent.window, last_window(found), rtol=0, atol=1e-12)
    assert [pd.Timestamp(time) for time in recent.times or ()] == times[-HORIZON:].tolist()
    assert found.task.known is not None and len(found.task.known) == found.task.input_shape[1] - 1


def test_a_window_holds_what_is_known_of_every_step_to_forecast(tmp_path: Path) -> None:
    table = frame(pd.date_range("2026-03-02", periods=120, freq="D").astype(str))
    found = upload(tmp_path, table, known="price")
    assert Task.from_json(found.task.to_json()) == found.task and found.task.known == (1, 2, 3)
    assert upload(tmp_path, table).fingerprint != found.fingerprint
    window = last_window(found)
    assert window.shape == (4, 4)  # v, price, and price 6 and 2 steps ahead
    ahead = [*window[2:, 3], *window[:, 2]]
    np.testing.assert_array_equal(ahead, table.price[-HORIZON:])
    np.testing.assert_array_equal(window[:, 1], table.price[-HORIZON - WINDOW : -HORIZON])
    mean = found.preprocessing["steps"][0]["mean"]
    assert mean[1] == mean[2] == mean[3] == pytest.approx(table.price[:72].mean())


def test_the_calendar_says_where_a_time_is_in_its_cycles(tmp_path: Path) -> None:
    table = frame(pd.date_range("2026-03-02 00:00", periods=120, freq="6h").astype(str))
    found = upload(tmp_path, table[["t", "v"]], known="calendar")
    assert found.preprocessing["known"]["cycles"] == ["day", "week", "year"]
    (recent,) = recent_of(table.to_dict("records"), found.preprocessing)
    assert recent.times is not None and recent.times[0] == "2026-04-01 00:00:00"
    day = [row[1:3] for row in recent.window]  # 0, 6, 12 and 18 hours
    np.testing.assert_allclose(day, [[0, 1], [1, 0], [0, -1], [-1, 0]], atol=1e-12)
    tuesday = recent.window[0][3:5]
    turn = 2 * np.pi / 7
    np.testing.assert_allclose(tuesday, [np.sin(turn), np.cos(turn)], atol=1e-12)


@pytest.mark.parametrize("frequency", ["15min", "1h", "5h", "D", "2D", "W", "B", "MS", "ME", "QS"])
def test_a_grid_is_that_of_pandas(tmp_path: Path, frequency: str) -> None:
    size = pd.Timedelta(pd.date_range("2026-01-01", periods=2, freq=frequency).diff()[-1])
    seconds = np.sort(np.random.default_rng(1).integers(0, 40 * int(size.total_seconds()), 600))
    times = pd.Timestamp("2026-01-07 10:30") + pd.to_timedelta(np.unique(seconds), unit="s")
    table = frame(times, len(times))
    found = upload(tmp_path, table, frequency=frequency, window=3, horizon=1)
    expected = table.set_index("t").resample(frequency)[["v", "price"]].mean()
    told = {remark.code: remark for remark in found.remarks}
    have = expected.dropna()
    assert told["resampled"].count == len(have)
    assert f"{len(expected) - len(have)} steps between" in told["resampled"].message
    last = have if len(expected) == len(have) else None
    (recent,) = recent_of(table.astype({"t": str}).to_dict("records"), found.preprocessing)
    if last is not None:
        np.testing.assert_allclose(last_window(found), have.to_numpy()[-4:-1], atol=1e-9)
    np.testing.assert_allclose(recent.window, have.to_numpy()[-3:], atol=1e-9)
    after = pd.date_range(have.index[-1], periods=2, freq=frequency)[1]
    assert recent.times is not None and pd.Timestamp(recent.times[0]) == after


def test_steps_of_a_grid_without_a_row_are_gaps(tmp_path: Path) -> None:
    times = pd.date_range("2026-03-01", periods=480, freq="15min")
    table = frame(times, 480)
    table["shop"] = ["a"] * 240 + ["b"] * 240
    table["t"] = [*times[:240].astype(str), *times[:240].astype(str)]
    table = table.drop(index=range(40, 48))  # two hours of shop a
    found = upload(tmp_path, table, frequency="h", series="shop", horizon=2)
    told = {remark.code: remark for remark in found.remarks}
    assert "472 rows became 118 steps of h" in told["resampled"].message
    assert "2 steps between" in told["resampled"].message
    assert told["gaps"].where == "row 42, column 't'" and told["gaps"].count == 5


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        ({"future": 1}, "price must be known for the 6 steps to forecast.*'v', got 5"),
        ({"price": -2}, "row 118, column 'price': the number is missing"),
        ({"row": 111}, "row 111, column 't': between .* the usual step is 86400"),
        ({"column": "price"}, "no column 'price': the rows have t, v"),
        ({"swap": 50}, "row 50, column 't': .* is not later than"),
        ({"number": 113}, "row 113, column 'price': the number is missing"),
        ({"time": 3}, "row 3, column 't': 'soon' is no time"),
    ],
)
def test_rows_that_give_no_forecast_are_refused_by_name(
    tmp_path: Path, drop: dict[str, Any], message: str
) -> None:
    table = frame(pd.date_range("2026-03-01", periods=120, freq="D").astype(str))
    found = upload(tmp_path, table, known=["price"])
    rows = without_future(table)
    if "future" in drop:
        rows = rows[:-1]
    if "price" in drop:
        rows[drop["price"]]["price"] = ""
    if "row" in drop:
        del rows[drop["row"]]
    if "column" in drop:
        rows = [{name: row[name] for name in ("t", "v")} for row in rows]
    if "swap" in drop:
        place = drop["swap"]
        rows[place - 1], rows[place] = rows[place], rows[place - 1]
    if "number" in drop:
        rows[drop["number"]]["price"] = "NA"
    if "time" in drop:
        rows[drop["time"]]["t"] = "soon"
    with pytest.raises(SeriesError, match=message):
        recent_of(rows, found.preprocessing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"known": "weather"}, "no column 'weather'"),
        ({"known": ["v"]}, "'v' cannot be known in advance"),
        ({"known": "calendar", "time": "price"}, "numbers, which have no calendar"),
        ({"frequency": "D", "time": "price"}, "the times are numbers"),
        ({"frequency": "hourly"}, "'hourly' is no step; allowed are 15min"),
        ({"frequency": "2W"}, "'2W' is no step"),
    ],
)
def test_what_cannot_be_known_or_brought_to_a_grid_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    table = frame(pd.date_range("2026-03-01", periods=120, freq="D").astype(str))
    table["price"] = range(120)
    if "time" in options:
        table = table[["v", "price"]]
    with pytest.raises(ValueError, match=message):
        upload(tmp_path, table, **options)


HOURS = pd.date_range("2026-03-27", periods=120, freq="h", tz="Europe/Rome")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        (
            {"known": "calendar"},
            "row 0, column 't': .* has no zone, the times of training had a zone",
        ),
        (
            {"frequency": "2h"},
            "row 0, column 't': .* has no zone, the times of training had a zone",
        ),
    ],
)
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_zone_counts_where_the_hour_does(
    options: dict[str, Any], message: str | None, is_turned: bool, tmp_path: Path
) -> None:
    zoned, plain = HOURS.astype(str), HOURS.tz_localize(None).astype(str)
    if is_turned:
        zoned, plain = plain[:48], zoned[:48]
        message = message and "has a zone, the times of training had none"
    found = upload(tmp_path, frame(zoned, len(zoned))[["t", "v"]], **options, horizon=1)
    rows = [{"t": time, "v": row} for row, time in enumerate(plain[:16])]
    if message is None:
        assert len(recent_of(rows, found.preprocessing)[0].window) == WINDOW
        return
    with pytest.raises(SeriesError, match=message):
        recent_of(rows, found.preprocessing)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (5, "1,5", "row 5, column 'v': '1,5' is no number"),
        (5, True, "row 5, column 'v': 'true' is no number"),
        (5, 1e200, "row 5, column 'v': '1e[+]200' is no number"),
        (3, "broken", "row 3, column 'v': 'broken' is no number"),
        (3, "NA", "row 3, column 'v': the number is missing"),
    ],
)
def test_a_value_that_cannot_be_read_is_no_row_to_forecast(
    place: int, value: Any, message: str, tmp_path: Path
) -> None:
    table = frame(pd.date_range("2026-03-01", periods=120, freq="h").astype(str))[["t", "v"]]
    found = upload(tmp_path, table)
    rows = table.tail(6).to_dict("records")
    rows[place]["v"] = value
    with pytest.raises(SeriesError, match=message) as refused:
        recent_of(rows, found.preprocessing)
    assert (refused.value.row, refused.value.column) == (place, "v")


def test_rows_that_are_given_twice_count_once(tmp_path: Path) -> None:
    table = frame(pd.date_range("2026-03-01", periods=120, freq="h").astype(str))[["t", "v"]]
    found, rows = upload(tmp_path, table), table.tail(9).to_dict("records")
    (once,) = recent_of(rows, found.preprocessing)
    assert recent_of([*rows[:6], *rows[3:]], found.preprocessing) == [once]
    with pytest.raises(SeriesError, match=r"row 9, column 't': .* is not later than .* in row 8"):
        recent_of([*rows, {**rows[-1], "v": 7}], found.preprocessing)


def test_dates_with_slashes_are_refused_where_training_says_nothing_of_them(tmp_path: Path) -> None:
    table = frame(pd.date_range("2026-03-01", periods=120).astype(str))[["t", "v"]]
    found = upload(tmp_path, table)
    days = pd.date_range("2026-03-05", periods=WINDOW)
    with pytest.raises(SeriesError, match="row 0, column 't': '05/03/2026' is no time"):
        recent_of([{"t": f"{day:%d/%m/%Y}", "v": 1} for day in days], found.preprocessing)
    (recent,) = recent_of([{"t": f"{day:%d.%m.%Y}", "v": 1} for day in days], found.preprocessing)
    assert recent.times is not None and recent.times[0] == "2026-03-09"
