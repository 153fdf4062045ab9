"""Columns as people, spreadsheets and other programs write them: what each is read as, that what is
understood is told, and that a bundle reads a row to the same numbers.
"""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.datasets.kinds import ReadColumn, read_column
from models.datasets.preprocess import encode
from models.datasets.raw_table import stripped
from models.remarks import Kind

Cells = list[str]


def column(texts: Cells, name: str = "c", **options: Any) -> ReadColumn:
    array = stripped(pa.chunked_array([pa.array(texts, pa.string())]))
    return read_column(name, array, decimal=options.pop("decimal", "."), **options)


def served(found: ReadColumn, texts: Cells) -> np.ndarray[Any, Any]:
    """The numbers that a bundle makes of the cells; held to those of training."""
    assert found.entry is not None
    spec = {"name": "c", **found.entry.describe(), **found.extra}
    alone = encode([{"c": text} for text in texts], {"columns": [spec]}).numpy()
    np.testing.assert_allclose(found.entry.raw(spec), alone, rtol=1e-12, atol=1e-12)
    return alone


def told(found: ReadColumn) -> set[str]:
    return {remark.code for remark in found.remarks}


NAN = math.nan
MARKS: list[tuple[Cells, str, list[float]]] = [
    (["1,234.50-", "17.00", "200-"], ".", [-1234.5, 17, -200]),
    (["1.234,50-", "17,00"], ",", [-1234.5, 17]),
    (["( 1,234 )", "$(5)", "(5 %)"], ".", [-1234, -5, -0.05]),
    (["\u20131,234", "\ufe635", "\u20117.5"], ".", [-1234, -5, -7.5]),
    (["1\u2009234\u2009567.5", "1\u2007000"], ".", [1234567.5, 1000]),
    (["12.- CHF", "CHF 3.\u2013", "4.50 Fr."], ".", [12, 3, 4.5]),
    (["12,- \u20ac", "1.200,- \u20ac"], ",", [12, 1200]),
    (["5 Ft", "1 200 Ft"], ",", [5, 1200]),
    (["\u0e3f5", "\u20a612"], ".", [5, 12]),
    (["R$ 1.234,50", "R$ 2,00"], ",", [1234.5, 2]),
    (["%5", "7\uff05"], ".", [0.05, 0.07]),
    (["5 \u2030", "12,5\u2030"], ",", [0.005, 0.0125]),
    (["51,000", "7"], ".", [51000, 7]),
]


@pytest.mark.parametrize(("texts", "decimal", "values"), MARKS)
def test_what_stands_beside_digits_is_understood_and_told(
    texts: Cells, decimal: str, values: list[float]
) -> None:
    found = column(texts, decimal=decimal)
    assert found.column.kind == "number"
    assert served(found, texts)[:, 0] == pytest.approx(values)
    assert told(found) == {"number_marks"} | ({"mixed_marks"} & told(found))


def test_a_zero_before_the_comma_is_no_thousand() -> None:
    texts = ["0,125", "1,125", "2,5"]
    found = column(texts)
    assert served(found, texts)[:, 0].tolist() == [0.125, 1.125, 2.5]
    assert "decimal_guessed" in told(found)


@pytest.mark.parametrize("texts", [["$5", "\u20ac6", "7"], ["5 %", "0.5", "7 %"]])
def test_signs_that_differ_are_told(texts: Cells) -> None:
    assert "mixed_marks" in told(column(texts))


UNITS: list[tuple[Cells, list[float]]] = [
    (["12 kg", "7.5kg", "3 KG"], [12, 7.5, 3]),
    (["12 kg", "13 kg", "500 g"], [12, 13, 0.5]),
    (["1.2M", "300k", "2M"], [1.2e6, 3e5, 2e6]),
    (["950", "1.2k", "3k"], [950, 1200, 3000]),
    (["1 TB", "500 GB", "256 GB"], [1000, 500, 256]),
    (["20.5 \u00b0C", "-3 \u00b0C"], [20.5, -3]),
    (["1 bedroom", "3 bedrooms"], [1, 3]),
    (["30 sq ft", "41 sq ft"], [30, 41]),
    (["2 years", "1 year", "6 months"], [2, 1, 0.5]),
]


@pytest.mark.parametrize(("texts", "values"), UNITS)
def test_numbers_with_a_unit_are_numbers(texts: Cells, values: list[float]) -> None:
    found = column(texts)
    assert (found.column.kind, told(found)) == ("number", {"units"})
    assert served(found, texts)[:, 0] == pytest.approx(values)


NOTED: list[tuple[Cells, list[float]]] = [
    (["6806*", "-353*", "41", "7.5 **"], [6806, -353, 41, 7.5]),
    (["1,234[1]", "56[b]", "78 [12]", "9"], [1234, 56, 78, 9]),
    (["12\u00b2", "3\u2020", "4.5 \u2021", "6"], [12, 3, 4.5, 6]),
    (['="12.5"', '="7"', '="-3"'], [12.5, 7, -3]),
    (["'12.5", "'7", "=3"], [12.5, 7, 3]),
    (["~680", "\u2248 7.5", "8"], [680, 7.5, 8]),
    (["0.5 \u00b1 0.3", "1.5 +/- 0.2", "2.5\u00b11"], [0.5, 1.5, 2.5]),
    (["1688 e", "1700 p", "1702", "12.5 bp"], [1688, 1700, 1702, 12.5]),
    (["1688 b", "1700", "1702", "1711", ":"], [1688, 1700, 1702, 1711, NAN]),
    (["\u0661\u0662\u066b\u0665", "\u0661\u066c\u0662\u0663\u0664"], [12.5, 1234]),
]


@pytest.mark.parametrize(("texts", "values"), NOTED)
def test_marks_of_notes_and_spreadsheets_are_no_part_of_a_number(
    texts: Cells, values: list[float]
) -> None:
    found = column(texts)
    assert (found.column.kind, told(found)) == ("number", {"footnote_marks"})
    assert served(found, texts)[:, 0] == pytest.approx(values, nan_ok=True)
    assert column([*texts, *"abcdefgh"]).column.kind != "number", "as most cells are words"


VALUES = (1.5, np.float64(1.5), np.float32(1.5), np.float16(1.5), Decimal("1.50"), Fraction(3, 2))


@pytest.mark.parametrize("texts", [["1,5", "2,25", "7,5"], ["1.5", "2.25"], ["1.5 kg", "7 kg"]])
def test_a_number_of_any_library_is_one_whatever_sign_the_file_had(texts: Cells) -> None:
    found = column(texts)
    assert found.entry is not None
    spec = {"name": "c", **found.entry.describe(), **found.extra}
    rows = [{"c": value} for value in (*VALUES, np.int8(3), np.float32(np.inf), True, np.True_)]
    values = encode(rows, {"columns": [spec]})[:, 0].tolist()
    assert values[:7] == [1.5] * 6 + [3] and all(map(math.isnan, values[7:]))


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_a_truth_value_is_the_word_that_the_file_has_for_it(yes: str, no: str) -> None:
    found = column([yes, no, "Unknown"] * 4)
    assert found.column.kind == "category" and found.entry is not None
    spec = {"name": "c", **found.entry.describe(), **found.extra}
    places = {word: float(place) for place, word in enumerate(spec["values"])}
    rows = [{"c": value} for value in (True, np.True_, False, np.False_, "tRUE")]
    expected = [places[yes]] * 2 + [places[no]] * 2 + [-1]
    assert encode(rows, {"columns": [spec]})[:, 0].tolist() == expected


@pytest.mark.parametrize("texts", [['="05057"', '="00012"'] * 3, ["A*", "B*", "A"] * 3])
def test_codes_and_grades_with_marks_stay_words(texts: Cells) -> None:
    assert column(texts).column.kind == "category"


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["2024. 1. 5.", "2024. 11. 20."], ["2024-01-05", "2024-11-20"]),
        (["2024.01.05.", "2024.11.20."], ["2024-01-05", "2024-11-20"]),
        (["2024. 1. 5. 13:30", "2024. 11. 20. 7:00"], ["2024-01-05T13:30", "2024-11-20T07:00"]),
        (["5 Jan '24", "20 Nov '24"], ["2024-01-05", "2024-11-20"]),
        (["1Q24", "4Q98"], ["2024-01-01", "1998-10-01"]),
        (["Q1 '24", "Q4-98"], ["2024-01-01", "1998-10-01"]),
        (["1Q2024", "q4/1998"], ["2024-01-01", "1998-10-01"]),
        (["2024010500", "2024112023", "2024112007"],
         ["2024-01-05T00", "2024-11-20T23", "2024-11-20T07"]),
    ],
)  # fmt: skip
def test_dates_of_other_countries_and_reports(texts: Cells, days: list[str]) -> None:
    found = column(texts)
    assert found.column.kind == "date" and found.entry is not None
    expected = [np.datetime64(day, "s") for day in days]
    assert found.entry.values.tolist() == [day.astype(object) for day in expected]
    served(found, texts)


def test_marks_that_nobody_sees_are_no_part_of_a_cell() -> None:
    words = ["Rome\u200b", "Rome", "\ufeffOslo", "Oslo", "\u200eRome\u00a0"]
    cities = column(words)
    assert served(cities, words)[:, 0].tolist() == [1, 1, 0, 0, 1]
    numbers = ["\u200e12", "7\u200f", "\u2060-3"]
    assert served(column(numbers), numbers)[:, 0].tolist() == [12, 7, -3]


def test_another_unit_at_prediction_is_no_number() -> None:
    found = column(["12 kg", "7 kg", "8 kg"])
    assert found.entry is not None
    spec = {"name": "c", **found.entry.describe(), **found.extra}
    rows = [{"c": text} for text in ("9 kg", "9", "9 lb")] + [{"c": 9.0}]  # type: ignore[dict-item]
    found_values = encode(rows, {"columns": [spec]})[:, 0].tolist()
    assert found_values[:2] == [9, 9] and math.isnan(found_values[2]) and found_values[3] == 9


@pytest.mark.parametrize(
    "texts",
    [
        ["12 Main Street", "7 Oak Avenue", "9 Elm Road"] * 3,
        ["5a", "5b", "6c", "5a"] * 3,
        ["007 A", "012 A", "007 A"] * 3,
    ],
)
def test_words_behind_digits_are_no_units(texts: Cells) -> None:
    assert column(texts).column.kind in ("category", "text")


def test_a_category_of_many_numbers_is_told() -> None:
    half = column([f"{i}.5" if i % 2 else "<5" for i in range(40)])
    (remark,) = half.remarks
    assert half.column.kind is Kind.CATEGORY and remark.code == "mixed_cells"
    assert (remark.count, remark.where) == (20, "row 2, column 'c'")
    for texts in (["01", "1", "A", "B"], ["red", "blue", "7"]):
        found = column(texts * 20)
        assert (found.column.kind, "mixed_cells" in told(found)) == (
            Kind.CATEGORY,
            texts == ["red", "blue", "7"],
        )


def test_what_is_a_number_in_most_rows_is_no_identifier() -> None:
    """Though limits of detection differ all, as its numbers do."""
    found = column([f"{'<' if i % 4 == 0 else ''}{i}" for i in range(60)])
    assert (found.column.kind, found.column.missing) == ("number", 15)
    assert told(found) == {"bad_cells"}


def test_numbers_by_either_sign_are_numbers_by_that_of_most() -> None:
    found = column([f"{i}.25" if i % 5 else f"{i},25" for i in range(40)])
    assert (found.column.kind, found.column.missing) == (Kind.NUMBER, 8)
    half = column([f"{i}.25" if i % 2 else f"{i},25" for i in range(40)])
    assert (half.column.kind, half.column.missing) == (Kind.NUMBER, 20)
    assert told(half) == {"bad_cells"}


def test_numbers_that_differ_by_rounding_are_told_as_such() -> None:
    (remark,) = column([f"0.123456789012345{i}" for i in range(10)]).remarks
    assert "cells hardly differ, as" in remark.message


def test_a_few_odd_cells_are_bad_and_no_units() -> None:
    texts = [*map(str, range(30)), "12a", "1e200"]
    found = column(texts)
    assert found.column.missing == 2 and told(found) == {"bad_cells"}
    assert np.isnan(served(found, texts)[30:, 0]).all()


CLOCKS: list[tuple[Cells, list[float]]] = [
    (["13:45", "0:30", "23:59"], [49500, 1800, 86340]),
    (["1:05 PM", "12:00 am", "9:30 a.m."], [47100, 0, 34200]),
    (["13h45", "8h05"], [49500, 29100]),
    (["13:45 Uhr", "8:05 Uhr"], [49500, 29100]),
    (["36:10:05", "1:00:00"], [130205, 3600]),
    (["2 days 01:00:00", "0 days 00:30:00"], [176400, 1800]),
    (["-1 days +23:00:00", "-1 day, 22:30:00", "-2 days 01:00:00"], [-3600, -5400, -176400]),
    (["2 days 3h", "1 day 2 hours 30 minutes", "1 day"], [183600, 95400, 86400]),
    (["2h 50m", "19h", "5m"], [10200, 68400, 300]),
    (["PT1H30M", "P1DT2H"], [5400, 93600]),
]


@pytest.mark.parametrize(("texts", "seconds"), CLOCKS)
def test_times_of_day_and_durations_are_seconds(texts: Cells, seconds: list[float]) -> None:
    found = column(texts)
    assert (found.column.kind, told(found)) == ("number", {"clock_times"})
    assert served(found, texts)[:, 0] == pytest.approx(seconds)


DATES: list[tuple[Cells, list[tuple[int, ...]]]] = [
    (["1. Januar 2024", "15. M\u00e4rz 2024", "3. Dez. 2023"],
     [(2024, 1, 1), (2024, 3, 15), (2023, 12, 3)]),
    (["1er janvier 2024", "15 f\u00e9vrier 2024", "3 ao\u00fbt 2023", "7 d\u00e9c. 2023"],
     [(2024, 1, 1), (2024, 2, 15), (2023, 8, 3), (2023, 12, 7)]),
    (["1 de enero de 2024", "3 de agosto de 2023"], [(2024, 1, 1), (2023, 8, 3)]),
    (["1 gennaio 2024", "2 giu 2024", "3 lug 2024"], [(2024, 1, 1), (2024, 6, 2), (2024, 7, 3)]),
    (["1 de mar\u00e7o de 2024", "3 dez 2023"], [(2024, 3, 1), (2023, 12, 3)]),
    (["1 maart 2024", "15 mei 2024"], [(2024, 3, 1), (2024, 5, 15)]),
    (["1 stycznia 2024", "3 wrze\u015bnia 2023"], [(2024, 1, 1), (2023, 9, 3)]),
    (["Montag, 1. Januar 2024", "Mittwoch, 31. Januar 2024"], [(2024, 1, 1), (2024, 1, 31)]),
    (["mar. 5 mars 2024", "lun. 4 mars 2024"], [(2024, 3, 5), (2024, 3, 4)]),
    (["Mar 2024", "Apr 2024"], [(2024, 3, 1), (2024, 4, 1)]),
    (["Jan-24", "Feb-24"], [(2024, 1, 1), (2024, 2, 1)]),
    (["2024-Q1", "Q4 2023"], [(2024, 1, 1), (2023, 10, 1)]),
    (["2024-W05", "2024-W06"], [(2024, 1, 29), (2024, 2, 5)]),
    (["01.2024", "02.2024", "11.2023"], [(2024, 1, 1), (2024, 2, 1), (2023, 11, 1)]),
    (["20240131100500", "20240201110600", "20240202000000"],
     [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6), (2024, 2, 2)]),
    (["2024-035", "2023-365"], [(2024, 2, 4), (2023, 12, 31)]),
    (["2024-035T10:05", "2023-365T11:06"], [(2024, 2, 4, 10, 5), (2023, 12, 31, 11, 6)]),
    (["2024-W05-3", "2024-W06-7"], [(2024, 1, 31), (2024, 2, 11)]),
    (["31012024", "01022024", "29022024"], [(2024, 1, 31), (2024, 2, 1), (2024, 2, 29)]),
    (["31012024", "1022024", "29022024"], [(2024, 1, 31), (2024, 2, 1), (2024, 2, 29)]),
    (["01312024", "02012024", "02292024"], [(2024, 1, 31), (2024, 2, 1), (2024, 2, 29)]),
    (["20240131.0", "20240201.0", "20240229.0"], [(2024, 1, 31), (2024, 2, 1), (2024, 2, 29)]),
    (["\u4ee4\u548c6\u5e741\u670831\u65e5", "\u5e73\u621031\u5e744\u670830\u65e5",
      "\u4ee4\u548c\u5143\u5e745\u67081\u65e5"], [(2024, 1, 31), (2019, 4, 30), (2019, 5, 1)]),
    (["29/02/2567", "01/03/2567", "02/03/2567"], [(2024, 2, 29), (2024, 3, 1), (2024, 3, 2)]),
    (["2567-02-29", "2567-03-01", "2567-03-02"], [(2024, 2, 29), (2024, 3, 1), (2024, 3, 2)]),
    (["20240131T1005", "20240201T1106"], [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
    (["31JAN2024:10:05:00", "01FEB2024:11:06:00"], [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
    (["31/Jan/2024:10:05:00 +0000", "01/Feb/2024:11:06:00 +0000"],
     [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
    (["Wed, 31 Jan 2024 10:05:00 GMT", "Thu, 01 Feb 2024 11:06:00 GMT"],
     [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
    (["Wed Jan 31 10:05:00 2024", "Thu Feb  1 11:06:00 2024"],
     [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
    (["2024-01-31 24:00", "2024-02-01 01:00"], [(2024, 2, 1), (2024, 2, 1, 1)]),
    (["01/31/2024 1:05 p.m.", "02/01/2024 12:06 a.m."], [(2024, 1, 31, 13, 5), (2024, 2, 1, 0, 6)]),
    (["2024-01-31 10:00 CET", "2024-07-31 10:00 CET"], [(2024, 1, 31, 10), (2024, 7, 31, 10)]),
    (["2024\u5e741\u670831\u65e5 10\u664205\u5206", "2024\u5e742\u67081\u65e5 11\u664206\u5206"],
     [(2024, 1, 31, 10, 5), (2024, 2, 1, 11, 6)]),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "dates"), DATES)
def test_dates_of_other_languages_and_programs(texts: Cells, dates: list[tuple[int, ...]]) -> None:
    found = column(texts)
    assert found.column.kind == "date" and found.entry is not None
    assert found.entry.values.tolist() == [datetime(*date) for date in dates]
    served(found, texts)


NUMBERED = [
    (["1706695500", "1706695501"], datetime(2024, 1, 31, 10, 5)),
    (["1706695500000", "1706695501000"], datetime(2024, 1, 31, 10, 5)),
    (["45322.5", "45323"], datetime(2024, 1, 31, 12)),
]


@pytest.mark.parametrize(("texts", "first"), NUMBERED)
def test_numbers_are_dates_only_when_somebody_says_so(texts: Cells, first: datetime) -> None:
    assert column(texts).column.kind == "number"
    found = column(texts, wanted="date")
    assert found.entry is not None and found.entry.values[0] == np.datetime64(first)
    assert told(found) == {"date_numbers"}
    served(found, texts)


GUESSED: list[tuple[Cells, str, tuple[int, ...]]] = [
    (["20-01-05", "24-05-28", "22-03-17"], "date_order_guessed", (2020, 1, 5)),
    (["31/01/2024", "02/28/2024", "13/05/2024", "03/04/2024"], "date_order_guessed", (2024, 1, 31)),
    (["13.01.24", "14.01.71"], "short_years", (2024, 1, 13)),
    (["2024-031", "2023-365"], "date_numbers", (2024, 1, 31)),
    (["31012024", "01022024", "29022024"], "date_numbers", (2024, 1, 31)),
    (["31.01.2567", "01.02.2567"], "buddhist_years", (2024, 1, 31)),
    (["1402/01/31", "1403/02/28"], "unusual_years", (1402, 1, 31)),
    (["20240131", "00000000", "20240229", "20240228"], "bad_cells", (2024, 1, 31)),
    (["2024-01-31 10:00Z", "2024-02-01 10:00"], "zones_ignored", (2024, 1, 31, 10)),
    (["2024-01-31 10:00+01:00", "2024-01-31 10:00+09:00"], "zones_ignored", (2024, 1, 31, 10)),
]


@pytest.mark.parametrize(("texts", "code", "first"), GUESSED)
def test_what_dates_leave_open_is_told(texts: Cells, code: str, first: tuple[int, ...]) -> None:
    found = column(texts)
    assert code in told(found)
    assert found.entry is not None and found.entry.values[0] == np.datetime64(datetime(*first))


KINDS: dict[str, tuple[Cells, str, str]] = {
    "papers": (["2024-001", "2024-002", "2024-003"], "invoice_no", "identifier"),
    "numbers": (["10000001", "10077778", "31155555"], "x", "number"),
    "j and n": (["J", "n", "j"], "c", "boolean"),
    "s and n": (["S", "N"], "c", "boolean"),
    "n\u00e3o in two letters": (["sim", "na\u0303o"], "c", "boolean"),
    "\u306f\u3044": (["\u306f\u3044", "\u3044\u3044\u3048"], "c", "boolean"),
    "foxpro": ([".T.", ".F."], "c", "boolean"),
    "true, 0 and yes": (["True", "0", "yes", "no"], "c", "boolean"),
    "directions": (["n", "s", "o", "n", "s"], "c", "category"),
    "languages": (["no", "ja", "si", "no"], "c", "category"),
    "infinities": (["1", "2", "inf", "-Infinity"], "c", "number"),
    "one number or none": (["1", "", "1", ""], "c", "category"),
    "postcodes by name": (["10001", "10978", "10001", "11955"], "zip", "category"),
    "phones": ([f"+4917{i:08d}" for i in range(9)], "c", "identifier"),
    "hexadecimal": (["12345e67", "00000e12", "98765e01"] * 3, "c", "category"),
    "exponents": (["1e5", "2e3", "4e1"], "c", "number"),
    "Kundennummer": ([str(i * 7) for i in range(9)], "Kundennummer", "identifier"),
    "rows of R": ([str(i) for i in range(1, 9)], "X", "identifier"),
    "no rows of R": (["3", "1", "9", "4"], "X", "number"),
    "\\N of MySQL": (["a", "\\N", "b", "a"], "c", "category"),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds_that_are_easily_taken_for_others(case: str) -> None:
    texts, name, kind = KINDS[case]
    found = column(texts, name)
    assert found.column.kind == kind
    assert found.column.missing == sum(t in ("", "\\N", "inf", "-Infinity") for t in texts)
    if found.entry is not None:
        served(found, texts)


def test_a_date_that_stands_for_none_is_of_no_other_calendar() -> None:
    found = column(["2024-01-31", "2024-02-01", *["9999-12-31"] * 5])
    assert found.column.kind == "date" and "unusual_years" not in told(found)
