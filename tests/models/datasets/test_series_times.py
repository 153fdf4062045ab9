"""Times as sensors, offices and exchanges write them are the instants that they mean, in a file and
in a bundle.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.datasets.formats import FormatError
from models.datasets.kinds import read_column
from models.datasets.steps import beginning_of, instant_of, joined, offset_of
from models.datasets.times import read_times
from models.exporters.predicting.recent_rows import recent_of
from tests.models.datasets.test_series_files import (
    OPTIONS,
    as_a_bundle_reads,
    codes,
    file,
    remark,
)
from tests.models.support.uploads import csv, read

ROWS = 40
Write = Callable[[pd.Timestamp], str]


def _strftime(form: str) -> Write:
    return lambda time: time.strftime(form)


def _hour_after(form: str, between: str, end: str) -> Write:
    return lambda time: (
        f"{time:{form}}{between}{time + pd.Timedelta(hours=1):{end}}"  # as grid operators do
    )


@pytest.mark.parametrize(
    ("freq", "write"),
    [
        ("QS", lambda t: f"{t.year}-Q{t.quarter}"),
        ("QS", lambda t: f"Q{t.quarter}/{t.year}"),
        ("6MS", lambda t: f"{t.year}-H{(t.month + 5) // 6}"),
        ("6MS", lambda t: f"{t.year}-S{(t.month + 5) // 6}"),
        ("MS", _strftime("%YM%m")),
        ("MS", _strftime("%Y-M%m")),
        ("MS", _strftime("%Y%m")),
        ("MS", _strftime("%b %Y")),
        ("MS", _strftime("%m/%Y")),
        ("W-MON", _strftime("%G-W%V")),
        ("W-MON", _strftime("%GW%V")),
        ("W-MON", _strftime("KW %V/%G")),
        ("W-MON", _strftime("%G-KW%V")),
        ("D", _strftime("%G-W%V-%u")),
        ("D", _strftime("%Y-%j")),
        ("D", _strftime("%d%m%Y")),
        ("D", lambda t: f"{t:%d/%m/}{t.year + 543}"),
        ("D", lambda t: f"{t.year + 543}{t:-%m-%d}"),
        ("W-MON", _strftime("Week %V, %G")),
        ("D", _strftime("%d.%m.%Y")),
        ("D", _strftime("%a %d %b %Y")),
        ("h", _hour_after("%Y-%m-%d %H:%M", " - ", "%H:%M")),
        ("h", _hour_after("%d.%m.%Y %H:%M", " - ", "%d.%m.%Y %H:%M")),
        ("h", _hour_after("%d/%m/%Y %H:%M:%S", " \u2013 ", "%d/%m/%Y %H:%M:%S")),
        ("h", _hour_after("%Y-%m-%dT%H:%M", "/", "%Y-%m-%dT%H:%M")),
        ("7D", lambda t: f"{t:%d.%m.%Y} - {t + pd.Timedelta(days=6):%d.%m.%Y}"),
        ("7D", lambda t: f"{t:%Y-%m-%d} to {t + pd.Timedelta(days=6):%Y-%m-%d}"),
        ("h", _strftime("%m/%d/%Y %I:%M:%S %p")),
        ("h", _strftime("%d.%m.%Y %H:%M America/New_York")),
        ("250ms", _strftime("%d.%m.%Y %H:%M:%S.%f")),
        ("250ms", _strftime("%Y-%m-%d %H:%M:%S,%f")),
        ("250ms", _strftime("%Y-%m-%dT%H:%M:%S.%f")),
    ],
)  # fmt: skip
def test_times_are_the_instants_that_they_mean(freq: str, write: Write) -> None:
    instants = pd.date_range(
        "2023-07-03" if freq in ("D", "h") else "2024-01-01", periods=ROWS, freq=freq
    )
    texts = [write(time) for time in instants]
    found = read_times("t", pa.chunked_array([texts]), ".")
    assert found.instants is not None
    assert pd.DatetimeIndex(found.instants).tolist() == instants.tolist()
    assert [instant_of(text, found.order) for text in texts] == instants.to_pydatetime().tolist()


def test_times_beside_each_other_are_refused_in_plain_words(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d")
    content = csv({"shop": ["a", "b"], **{day: ["1", "2"] for day in days}})
    with pytest.raises(FormatError, match=r"40 of 41 columns are times.*a row a time"):
        read(tmp_path, content, "forecasting", **{**OPTIONS, "time": "shop"})


@pytest.mark.parametrize(
    ("order", "size"), [("seconds", 1e9), ("milliseconds", 1e6), ("nanoseconds", 1.0)]
)
def test_numbers_since_1970_have_fractions_of_seconds(order: str, size: float) -> None:
    instants = pd.date_range("2026-01-01", periods=ROWS, freq="20ms", unit="ns")
    texts = [f"{number / size:.3f}".rstrip("0").rstrip(".") for number in instants.asi8.tolist()]
    found = read_times("t", pa.chunked_array([texts]), ".", are_dates=True)
    assert found.order == order and found.instants is not None
    np.testing.assert_array_equal(found.instants, instants.to_numpy().astype("datetime64[us]"))
    assert [instant_of(text, order) for text in texts] == instants.to_pydatetime().tolist()


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M %z", "%Y-%m-%d %H:%M %Z", "%d.%m.%Y %H:%M %Z"])
def test_zones_behind_local_times_keep_both_hours_of_a_night(form: str, tmp_path: Path) -> None:
    times = pd.date_range("2025-10-24", periods=120, freq="h", tz="Europe/Berlin")
    found = read(tmp_path, file(times.strftime(form).tolist()), "forecasting", **OPTIONS)
    assert not {"clocks_put_back", "zones_ignored", "gaps"} & set(codes(found))
    rows = [{"t": t, "v": v} for v, t in enumerate(times[60:80].strftime(form))]
    (recent,) = recent_of(rows, found.preprocessing)
    # 79 hours after midnight in summer time are 7 in the morning of the third day, 6 in winter time
    assert recent.times == ["2025-10-27T07:00:00+01:00", "2025-10-27T08:00:00+01:00"]


def test_intervals_are_told_and_zones_are_none() -> None:
    assert beginning_of("2026-01-01 00:00 -05:00") == "2026-01-01 00:00 -05:00"
    assert beginning_of("01/Jan/2026:10:00:00 +0000") == "01/Jan/2026:10:00:00 +0000"
    assert offset_of("2026-01-01 00:00 -0530") == -datetime.timedelta(hours=5, minutes=30)
    assert offset_of("31.1.2026 10:00 PM") is None and offset_of("2026-01-01") is None


def test_what_was_understood_of_times_is_told(tmp_path: Path) -> None:
    times = pd.date_range("2016-01-01", periods=120, freq="MS")
    found = read(tmp_path, file(times.strftime("%Y%m").tolist()), "forecasting", **OPTIONS)
    assert remark(found, "date_numbers").message.endswith("201601 is 2016-01")
    assert "gaps" not in codes(found)  # as from 201612 to 201701 where they are numbers
    hours = [f"{t:%Y-%m-%d %H:%M} - {t:%H}:59" for t in times]
    found = read(tmp_path, file(hours), "forecasting", **OPTIONS)
    assert (
        "'2016-01-01 00:00 - 00:59' is 2016-01-01 00:00" in remark(found, "time_intervals").message
    )


@pytest.mark.parametrize(
    ("form", "order"),
    [
        ("%d/%m/%Y %H:%M", "dmy"),
        ("%m/%d/%Y %H:%M", "mdy"),
        ("%y-%m-%d", "ymd"),
        ("%d-%m-%y", "dmy"),
    ],
)
def test_day_and_month_are_as_steps_are_even(form: str, order: str) -> None:
    times = pd.date_range("2026-02-03", periods=200, freq="h" if "%H" in form else "D")
    found = read_times("t", pa.chunked_array([times.strftime(form).tolist()]), ".")
    assert found.instants is not None and found.order == order
    assert pd.DatetimeIndex(found.instants).tolist() == times.tolist()
    told = [remark.message for remark in found.remarks if remark.code == "date_order_guessed"]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("cells", "time"),
    [
        (["2026-01-31", "07:05"], "2026-01-31 07:05"),
        (["31.1.2026", "7"], "31.1.2026 07:00"),
        (["2026-01-31", "24"], "2026-01-31 24:00"),
        (["2026-01-31", "730"], "2026-01-31 07:30"),
        (["2026-01-31", "073015"], "2026-01-31 07:30:15"),
        (["2026", "1", "3", "4"], "2026-01-03 04:00"),
        (["2026", "1", "3", "4", "5", "6"], "2026-01-03 04:05:06"),
        (["2026.0", "12.0"], "2026-12-01"),
        (["2026", "Jan"], "1 Jan 2026"),
        (["2026-01-31", ""], ""),
    ],
)
def test_parts_of_a_time_are_one_text(cells: list[str], time: str) -> None:
    assert joined(cells, ["part"] * len(cells)) == time


@pytest.mark.parametrize("name", ["week", "KW", "iso_week", "Week_Nr", "semaine"])
def test_a_year_and_a_week_are_its_monday(name: str, tmp_path: Path) -> None:
    mondays = pd.date_range("2023-11-06", periods=120, freq="7D")
    weeks = mondays.isocalendar()
    columns = {"year": weeks.year.astype(str).tolist(), name: weeks.week.astype(str).tolist()}
    content = csv({**columns, "v": [str(row % 7) for row in range(120)]})
    found = read(tmp_path, content, "forecasting", **{**OPTIONS, "time": ["year", name]})
    assert not {"gaps", "irregular_steps"} & set(codes(found))
    rows = [
        {"year": int(year), name: int(week), "v": 1}
        for year, week in zip(weeks.year[40:60], weeks.week[40:60], strict=True)
    ]
    (recent,) = recent_of(rows, found.preprocessing)
    assert recent.times is not None and recent.times[0] == f"{mondays[60]:%Y-%m-%d}"


@pytest.mark.parametrize("sign", ["/", "-"])
def test_two_years_are_no_year_and_month(sign: str, tmp_path: Path) -> None:
    """Each of 2000/01 to 2011/12 by itself may be a month, which would be 13 months apart."""
    years = [f"{2000 + row}{sign}{row + 1:02d}" for row in range(12)]
    with pytest.raises(ValueError, match=f"are two years each, as '2000{sign}01', or months"):
        read(tmp_path, file(years), "forecasting", **OPTIONS)
    column = read_column("c", pa.chunked_array([years * 9]), decimal=".")
    assert column.column.kind == "category"
    months = [f"2000{sign}{row + 1:02d}" for row in range(12)]
    assert read_column("c", pa.chunked_array([months * 9]), decimal=".").column.kind == "date"


PARTS: dict[str, Callable[[pd.DatetimeIndex], list[str]]] = {
    "day": lambda t: t.strftime("%d.%m.%Y").tolist(),
    "at": lambda t: t.strftime("%H:%M").tolist(),
    "hr": lambda t: t.hour.astype(str).tolist(),
    "yr": lambda t: t.year.astype(str).tolist(),
    "mo": lambda t: t.month.astype(str).tolist(),
    "dd": lambda t: t.day.astype(str).tolist(),
}


@pytest.mark.parametrize("names", [["day", "at"], ["day", "hr"], ["yr", "mo", "dd", "hr"]])
def test_a_time_may_stand_in_several_columns(names: list[str], tmp_path: Path) -> None:
    times = pd.date_range("2026-01-30", periods=120, freq="h")
    cells = {name: PARTS[name](times) for name in names}
    content = csv({**cells, "v": [str(row) for row in range(120)]})
    found = read(tmp_path, content, "forecasting", **{**OPTIONS, "time": names})
    plain = read(tmp_path, file(times.astype(str).tolist()), "forecasting", **OPTIONS)
    assert found.fingerprint == plain.fingerprint and "gaps" not in codes(found)
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)
    assert [column.role.value for column in found.columns] == [*["time"] * len(names), "target"]
    rows = [{name: cells[name][at] for name in names} | {"v": at} for at in range(6)]
    (recent,) = recent_of(rows, found.preprocessing)
    assert recent.times == ["2026-01-30 06:00:00", "2026-01-30 07:00:00"]


@pytest.mark.parametrize("time", ["day", "at"])
def test_a_refusal_says_which_columns_may_be_parts_of_the_time(time: str, tmp_path: Path) -> None:
    times = pd.date_range("2026-01-30", periods=120, freq="h")
    parts = {name: PARTS[name](times) for name in ("day", "at", "hr")}
    content = csv({**parts, "v": [str(row) for row in range(120)]})
    whole = r"a time that .* is options.time as a list: \['day', 'at', 'hr'\]"
    with pytest.raises(FormatError, match=whole):
        read(tmp_path, content, "forecasting", **{**OPTIONS, "time": time})


@pytest.mark.parametrize(
    ("write", "given"),
    [
        (lambda s: f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}", "0:30:00"),
        (lambda s: f"00:{s // 60:02d}:{s % 60:02d}.000", datetime.timedelta(minutes=30)),
        (lambda s: f"0 days {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}", datetime.time(0, 30)),
    ],
)
def test_clocks_without_a_day_are_the_seconds_that_passed(
    write: Callable[[int], str], given: object, tmp_path: Path
) -> None:
    content = file([write(15 * row) for row in range(120)])
    found = read(tmp_path, content, "forecasting", **OPTIONS)
    assert found.preprocessing["time"]["step"] == 15 and len(found.train) == 72 - 8 + 1
    assert remark(found, "clock_times").count == 120
    np.testing.assert_array_equal(as_a_bundle_reads(found), found.raw_test.x)
    rows = [{"t": write(1725 + 15 * row), "v": row} for row in range(5)] + [{"t": given, "v": 5}]
    assert recent_of(rows, found.preprocessing)[0].times == [1815, 1830]
