"""Tables as people have them: which kind each column is, and that a row means at prediction what it
meant in training.
"""

from __future__ import annotations

import datetime
import decimal
import io
import math
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from models.datasets import Dataset
from models.datasets.amounts import number_of
from models.datasets.cells import boolean_of
from models.datasets.dates import date_of
from models.datasets.formats import FormatError
from models.datasets.kinds import read_column
from models.datasets.preprocess import apply, encode, encode_column
from models.datasets.raw_table import FIRST_ROW
from models.datasets.stored import load, save
from models.remarks import Remark
from tests.models.support.uploads import read

ROWS = 120
TASK = "tabular_classification"


def table(separator: str = ",", **columns: list[str]) -> bytes:
    """A CSV with a class that follows from `x` but for chance."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    noise = rng.random(ROWS) < 0.1
    label = np.where((x > 0) ^ noise, "up", "down")
    whole = {"x": [f"{v:.4f}" for v in x], **columns, "label": label.tolist()}
    frame = pd.DataFrame(whole)
    return frame.to_csv(index=False, sep=separator).encode()


def codes(found: Dataset) -> list[str]:
    return [remark.code for remark in found.remarks]


def remark(found: Dataset, code: str) -> Remark:
    (one,) = [remark for remark in found.remarks if remark.code == code]
    return one


def column(texts: list[str], **options: Any) -> Any:
    array = pa.chunked_array([pa.array(texts, pa.string())])
    return read_column("c", array, decimal=options.pop("decimal", "."), **options)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("47", ".", 47), ("-3.5e2", ".", -350), (".5", ".", 0.5), ("51,000", ".", 51000),
        ("1,234,567.8", ".", 1234567.8), ("1 234,5", ",", 1234.5), ("1.234,56", ",", 1234.56),
        ("3,14", ",", 3.14), ("3,14", ".", None), ("12 %", ".", 0.12), ("$1,200.50", ".", 1200.5),
        ("€ 7", ".", 7), ("7 EUR", ".", 7), ("(1,234)", ".", -1234), ("\u22125", ".", -5),
        ("1'000", ".", 1000), ("-$5", ".", -5), ("1e200", ".", None), ("inf", ".", None),
        ("nan", ".", None), ("", ".", None), ("1_000", ".", None), ("12a", ".", None),
        ("1,2,3", ".", None),
        ("12,34,567.5", ".", 1234567.5), ("US$ 7", ".", 7), ("9 kr", ".", 9),
        ("0x10", ".", None), ("--5", ".", None), ("1,23", ".", None),
    ],
)  # fmt: skip
def test_a_number_is_read_as_people_write_it(text: str, decimal: str, value: float | None) -> None:
    found = number_of(text, decimal)
    assert found == value if value is None else found == pytest.approx(value)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(".,"))
def test_what_python_writes_is_read_back(value: float, sign: str) -> None:
    found = number_of(repr(value).replace(".", sign), sign)
    assert found == (value if abs(value) < 3e38 else None)


@given(st.text())
def test_no_text_breaks_the_reading_of_a_cell(text: str) -> None:
    for found in (number_of(text), number_of(text, ","), boolean_of(text)):
        assert found is None or np.isfinite(found)
    assert date_of(text) is None or isinstance(date_of(text), datetime.datetime)


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("2026-01-31", "dmy", (2026, 1, 31)), ("2026/1/31", "dmy", (2026, 1, 31)),
        ("20260131", "dmy", (2026, 1, 31)), ("31.01.2026", "dmy", (2026, 1, 31)),
        ("31/01/26", "dmy", (2026, 1, 31)), ("01/31/2026", "mdy", (2026, 1, 31)),
        ("31 Jan 2026", "dmy", (2026, 1, 31)), ("January 31, 2026", "dmy", (2026, 1, 31)),
        ("Sat, 31 Jan 2026", "dmy", (2026, 1, 31)), ("31-Jan-26", "dmy", (2026, 1, 31)),
        ("2026-01-31T12:30:05Z", "dmy", (2026, 1, 31, 12, 30, 5)),
        ("2026-01-31 12:30:05.25+01:00", "dmy", (2026, 1, 31, 12, 30, 5)),
        ("01/31/2026 1:05 PM", "mdy", (2026, 1, 31, 13, 5)),
        ("31. 01. 2026", "dmy", (2026, 1, 31)), ("2026年1月31日", "dmy", (2026, 1, 31)),
        ("2026-01", "dmy", (2026, 1, 1)), ("1/2026", "mdy", (2026, 1, 1)),
        ("2026-13", "dmy", None), ("01.2026", "dmy", (2026, 1, 1)), ("13.2026", "dmy", None),
        ("2026", "dmy", None),
        ("31.01.2026 13.05", "dmy", (2026, 1, 31, 13, 5)),
        ("31.02.2026", "dmy", None), ("yesterday", "dmy", None), ("12", "dmy", None),
    ],
)  # fmt: skip
def test_a_date_is_read_as_people_write_it(
    text: str, order: str, expected: tuple[int, ...] | None
) -> None:
    found = date_of(text, order)
    assert found == (None if expected is None else datetime.datetime(*expected))


KINDS: dict[str, tuple[list[str], str]] = {
    "numbers": (["1", "2.5", "-3", "", "1e3"], "number"),
    "with a bad cell": (["1", "2", "3", "4", "5", "6", "odd"], "number"),
    "thousands": (["1,000", "2,500", "12,000", "7"], "number"),
    "percent": (["1 %", "2.5%", "30 %"], "number"),
    "years": (["1999", "2000", "2001"], "number"),
    "yes and no": (["yes", "No", "YES", ""], "boolean"),
    "да and нет": (["да", "Нет", "да"], "boolean"),
    "million points": (["1.234.567", "12.345", "2.000.000"], "number"),
    "0 and 1": (["0", "1", "1", "0"], "boolean"),
    "true and false": (["TRUE", "False", "NA"], "boolean"),
    "leading zeros": (["01", "1", "01", "7", "1"], "category"),
    "words": (["a", "b", "a", "b", "None"], "category"),
    "iso dates": (["2026-01-01", "2026-01-02", "2026-03-01", ""], "date"),
    "local dates": (["13.01.2026", "02.01.2026", "05.03.2026"], "date"),
    "eight digits": (["20260101", "20260102", "20261231"], "date"),
    "sentences": ([f"it is the {i}th of them" for i in range(20)], "text"),
    "reviews": ([f"这个东西很好用我很喜欢{i}" for i in range(20)], "text"),
    "uuids": ([f"{i:08x}-0000-4000-8000-00000000000{i}" for i in range(9)], "identifier"),
    "names of rows": ([f"k{i}" for i in range(30)], "identifier"),
    "one value": (["x", "x", "x"], "constant"),
    "nothing": (["", "", ""], "constant"),
    "long numbers": ([f"{i}1234567890123456" for i in range(1, 9)], "identifier"),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_a_column_is_what_most_of_its_cells_say(case: str) -> None:
    texts, kind = KINDS[case]
    found = column(texts)
    assert found.column.kind == kind
    assert (found.entry is None) == (kind in ("identifier", "constant"))


def test_an_identifier_of_numbers_is_known_by_its_name() -> None:
    array = pa.chunked_array([pa.array([str(i) for i in range(1, 50)], pa.string())])
    for name in ("customer_id", "userId", "ID", "index", "Unnamed: 0"):
        assert read_column(name, array, decimal=".").column.kind == "identifier", name
    for name in ("age", "paid", "valid", "grid", "kid"):
        assert read_column(name, array, decimal=".").column.kind == "number", name


def test_numbers_that_name_things_in_several_rows_are_a_category() -> None:
    codes = [str(1000 + row * 7 % 40) for row in range(200)]
    codes[3] = "NA"
    array = pa.chunked_array([pa.array(codes, pa.string())])
    for name in ("customer_id", "storeId", "AccountID", "customer", "Kundennummer", "order no."):
        found = read_column(name, array, decimal=".")
        assert found.column.kind == "category" and found.column.missing == 1, name
        assert [(r.code, r.where, r.count) for r in found.remarks] == [
            ("repeated_identifier", name, 40)
        ]
        assert read_column(name, array, decimal=".", wanted="number").column.kind == "number"
    for name in ("humid", "paid", "PAID", "rooms", "room_number", "customers"):
        assert read_column(name, array, decimal=".").column.kind == "number", name
    fractions = pa.chunked_array([pa.array([f"{code}.5" for code in range(40)] * 5, pa.string())])
    assert read_column("customer_id", fractions, decimal=".").column.kind == "number"
    twice = pa.chunked_array([pa.array([str(row) for row in [*range(150), 3]], pa.string())])
    found = read_column("visit_id", twice, decimal=".")
    assert found.column.kind == "identifier"
    assert found.column.note == "left out: nearly every row has its own"


def test_a_cell_that_is_no_number_is_missing_and_told(tmp_path: Path) -> None:
    age = [str(20 + i % 50) for i in range(ROWS)]
    age[6] = "unknown"
    found = read(tmp_path, table(age=age), TASK, target="label")
    told = remark(found, "bad_cells")
    assert told.count == 1 and told.where == f"row {6 + FIRST_ROW}, column 'age'"
    assert "'unknown'" in told.message
    (about,) = [c for c in found.columns if c.name == "age"]
    assert (about.kind, about.missing, about.distinct) == ("number", 1, 50)
    assert found.task.input_shape == (2,)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("sign", [".", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_is_one_dataset_however_it_is_written(
    tmp_path: Path, separator: str, sign: str, encoding: str
) -> None:
    plain = pd.read_csv(io.BytesIO(table(city=["Zürich", "Köln", "Rom"] * 40)))
    content = plain.to_csv(index=False, sep=separator, decimal=sign).encode(encoding)
    options = {"encoding": encoding} if encoding == "latin-1" else {}
    found = read(tmp_path, content, TASK, target="label", **options)
    expected = read(tmp_path, plain.to_csv(index=False).encode(), TASK, target="label")
    assert found.fingerprint == expected.fingerprint
    assert torch.equal(found.train.x, expected.train.x)
    assert ("separator_guessed" in codes(found)) == (separator != ",")
    assert ("decimal_guessed" in codes(found)) == (sign != ".")
    assert ("encoding_guessed" in codes(found)) == (encoding == "utf-16")


def test_another_encoding_is_suggested_with_the_place(tmp_path: Path) -> None:
    content = table(city=["Zürich", "Bern", "Genf"] * 40).decode().encode("latin-1")
    with pytest.raises(ValueError, match=r'row 2: byte \d+ is no utf-8; .*"latin-1"'):
        read(tmp_path, content, TASK, target="label")


def test_dates_become_numbers_and_mean_the_same_at_prediction(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-30", periods=ROWS, freq="37h")
    found = read(tmp_path, table(day=[str(d) for d in days]), TASK, target="label")
    (spec,) = [c for c in found.preprocessing["columns"] if c["name"] == "day"]
    assert spec["kind"] == "date" and spec["time"]
    day = pd.Timestamp("2025-03-04 06:00")
    raw = encode([{"x": 1.0, "day": "2025-03-04 06:00"}], found.preprocessing)[0, 1:].tolist()
    first = (day - pd.Timestamp("1970-01-01")).total_seconds() / 86_400 - spec["origin"]
    turn = 2 * np.pi * day.day_of_year / 365.25
    assert raw == pytest.approx([first, 2025, np.sin(turn), np.cos(turn), 1, 0, day.weekday()])
    # a number each, and one of seven days
    assert found.task.input_shape == (1 + 6 + 7,)


def test_identifiers_and_constants_are_left_out_and_told(tmp_path: Path) -> None:
    content = table(key=[f"c-{i}" for i in range(ROWS)], fee=["0.1"] * ROWS, nothing=[""] * ROWS)
    found = read(tmp_path, content, TASK, target="label")
    assert {"identifier_column", "constant_column", "empty_column"} <= set(codes(found))
    assert [c["name"] for c in found.preprocessing["columns"]] == ["x"]
    assert {c.name: c.role for c in found.columns} == {
        "x": "input", "key": "ignored", "fee": "ignored", "nothing": "ignored", "label": "target",
    }  # fmt: skip


def test_a_deviation_of_rounding_is_none() -> None:
    texts = ["0.1", "0.10000000000000000001", "0.1"]
    assert column(texts).column.kind == "constant"


def test_many_values_are_kept_or_hashed(tmp_path: Path) -> None:
    values = [f"c{int(i**0.5 * 40)}" for i in range(ROWS * 10)]
    frame = pd.DataFrame({"c": values, "label": ["a", "b"] * (ROWS * 5)})
    assert frame.c.nunique() > 256
    found = read(tmp_path, frame.to_csv(index=False).encode(), TASK, target="label")
    (spec,) = found.preprocessing["columns"]
    assert len(spec["values"]) == 128 and spec["buckets"] == 32
    assert found.task.input_shape == (160,)
    x = apply(encode([{"c": "c-of-nobody"}, {"c": spec["values"][3]}, {"c": ""}],
                     found.preprocessing), found.preprocessing)  # fmt: skip
    assert x.sum(dim=1).tolist() == [1, 1, 0]
    assert x[0, 128:].sum() == 1 and x[1, 3] == 1


def test_a_person_says_what_a_column_is(tmp_path: Path) -> None:
    content = table(zip=["01067", "10115", "20095"] * 40, code=["1", "2", "3"] * 40)
    said = {"code": "category", "zip": "ignore"}
    found = read(tmp_path, content, TASK, target="label", columns=said)
    assert {c.name: (c.kind, c.role) for c in found.columns[1:3]} == {
        "zip": ("category", "ignored"),
        "code": ("category", "input"),
    }
    assert found.task.input_shape == (4,)
    said = {"code": "identifier", "zip": "category"}
    found = read(tmp_path, content, TASK, target="label", columns=said)
    assert found.columns[2].role == "ignored" and found.columns[2].kind == "identifier"
    for columns, message in (
        ({"zip": "constant"}, "'zip' is not constant: it has '01067', '10115', '20095'"),
        ({"label": "text"}, "'label' is the target"),
        ({"nobody": "text"}, "there is no column 'nobody'"),
        ({"zip": "date"}, "'zip' has no cell that is a date"),
    ):
        with pytest.raises(FormatError, match=message) as refused:
            read(tmp_path, content, TASK, target="label", columns=columns)
        assert refused.value.option == "columns"


def test_missing_words_are_those_of_the_person(tmp_path: Path) -> None:
    content = table(size=["1", "2", "-99", "3"] * 30, kind=["None", "a", "b", "NA"] * 30)
    found = read(tmp_path, content, TASK, target="label")
    assert {c.name: c.missing for c in found.columns} == {"x": 0, "size": 0, "kind": 0, "label": 0}
    found = read(tmp_path, content, TASK, target="label", missing=["-99", "na"])
    assert {c.name: c.missing for c in found.columns} == {
        "x": 0,
        "size": 30,
        "kind": 30,
        "label": 0,
    }
    raw = encode([{"x": 0, "size": "-99", "kind": "NA"}], found.preprocessing)
    assert raw[0, 1].isnan() and raw[0, 2] == -1


def test_classes_keep_their_spelling(tmp_path: Path) -> None:
    label = ["01", "1", "None", "NA", "no", "yes"] * 20
    content = table().replace(b",label", b",old").decode().splitlines()
    content[0] += ",label"
    rows = [content[0], *(f"{row},{name}" for row, name in zip(content[1:], label, strict=True))]
    found = read(tmp_path, "\n".join(rows).encode(), TASK, target="label")
    assert found.preprocessing["classes"] == sorted(set(label))


def test_parquet_says_itself_what_its_columns_are(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "on": [True, False, None] * 40,
            "day": pd.date_range("2026-01-01", periods=ROWS),
            "price": [decimal.Decimal(f"{i}.50") for i in range(ROWS)],
            "kind": pd.Categorical(["1", "2", "3"] * 40),
            "count": np.arange(ROWS) % 7,
            "label": ["a", "b"] * 60,
        }
    ).sort_values("label")
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    found = read(tmp_path, buffer.getvalue(), TASK, target="label")
    assert {c.name: c.kind.value for c in found.columns} == {
        "on": "boolean", "day": "date", "price": "number", "kind": "category", "count": "number",
        "label": "category",
    }  # fmt: skip
    assert "index_ignored" in codes(found)
    raw = [
        encode([{"on": value}], found.preprocessing)[0, 0].item()
        for value in (True, "True", "true", 1, 1.0, "yes", False, "false", 0, np.True_)
    ]
    assert raw == [1, 1, 1, 1, 1, 1, 0, 0, 0, 1]


def test_equal_rows_are_in_one_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(60, 3)).repeat(5, axis=0), columns=list("abc"))
    frame["label"] = np.where(rng.random(60) < 0.5, "u", "v").repeat(5)
    found = read(tmp_path, frame.to_csv(index=False).encode(), TASK, target="label")
    assert remark(found, "duplicates").count == 240
    seen = [{tuple(row) for row in split.x.tolist()} for split in
            (found.train, found.validation, found.test)]  # fmt: skip
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_rare_classes_imbalance_leaks_and_few_samples_are_told(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=150)
    label = np.where(x > 2.0, "rare", "common")
    frame = pd.DataFrame({"x": x, "after": np.where(label == "rare", "p", "q"), "label": label})
    found = read(tmp_path, frame.to_csv(index=False).encode(), TASK, target="label")
    assert {"few_samples", "class_imbalance", "rare_class", "possible_leak"} <= set(codes(found))
    leaks = {r.where for r in found.remarks if r.code == "possible_leak"}
    assert leaks == {"x", "after"}


@pytest.mark.parametrize("text", ["1e200", "inf", "x", ""])
def test_a_number_to_predict_is_one(tmp_path: Path, text: str) -> None:
    y = [str(i) for i in range(ROWS)]
    y[4] = text
    with pytest.raises(ValueError, match=f"row {4 + FIRST_ROW}, column 'y': "):
        read(tmp_path, table(y=y), "tabular_regression", target="y")


CELLS = {
    "number": st.sampled_from(["1", "2.5", "-3e2", "1,000", "7 %", "?", "", "odd"]),
    "boolean": st.sampled_from(["yes", "no", "", "NA"]),
    "category": st.sampled_from(["a", "b", "None", "ä", "", " a", "null"]),
    "date": st.sampled_from(["2026-01-31", "31.12.2025", "1 Feb 2024 13:05", "", "never"]),
    "text": st.one_of(st.text(max_size=30), st.sampled_from(["NULL", "nan", "a null b"])),
}


@pytest.mark.parametrize("kind", CELLS)
@given(data=st.data())
def test_many_cells_at_once_mean_what_each_means_alone(kind: str, data: st.DataObject) -> None:
    """`Input.raw` in training, `encode` in a bundle: one meaning."""
    texts = [text.strip() for text in data.draw(st.lists(CELLS[kind], min_size=1, max_size=20))]
    try:
        found = column(texts, wanted=kind)
    except ValueError:
        return  # no cell is of this kind
    assert found.entry is not None or found.column.kind == "constant"
    if found.entry is None:
        return
    spec = {"name": "c", **found.entry.describe(), **found.extra}
    together = found.entry.raw(spec)
    alone = encode([{"c": text} for text in texts], {"columns": [spec]}).numpy()
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)
    assert together.shape == (len(texts), len(found.entry.options(spec)))


def test_what_a_dataset_tells_is_stored_with_it(tmp_path: Path) -> None:
    content = table(key=[f"c-{i}" for i in range(ROWS)], age=["7", "odd", "9"] * 40)
    found = read(tmp_path, content, TASK, target="label")
    save(found, tmp_path / "stored")
    again = load(tmp_path / "stored")
    assert isinstance(again, Dataset)
    assert (again.columns, again.remarks) == (found.columns, found.remarks)
    assert again.raw_rows == found.raw_rows and set(again.raw_rows) == {"x", "age"}
    rows = [dict(zip(again.raw_rows, row, strict=True))
            for row in zip(*again.raw_rows.values(), strict=True)]  # fmt: skip
    assert torch.equal(
        encode(rows, again.preprocessing).nan_to_num(7), found.raw_test.x.nan_to_num(7)
    )


@given(
    cells=st.lists(st.text("0123456789.,-+e_ %'\u0663", max_size=7), min_size=1),
    sign=st.sampled_from([".", ","]),
    word=st.sampled_from(["", "na", "-9"]),
)
@example(cells=["1.2", "1.234", "1,5"], sign=",", word="")
def test_a_column_of_numbers_says_what_its_cells_say(
    cells: list[str], sign: str, word: str
) -> None:
    column = {"kind": "number", "decimal": sign, "missing": ["", word]}
    expected = [None if cell.strip() == word else number_of(cell, sign) for cell in cells]
    found = encode_column([*cells, *cells], column)[:, 0].tolist()
    for number, cell in zip(found, [*expected, *expected], strict=True):
        assert math.isnan(number) if cell is None else number == cell


def test_equal_values_of_other_types_are_not_mixed() -> None:
    column = {"kind": "category", "values": ["1", "true"]}
    assert encode_column([1, True, "1", 1.0, "true"], column)[:, 0].tolist() == [0, 1, 0, 0, 1]


def test_a_column_may_have_a_decimal_sign_of_its_own(tmp_path: Path) -> None:
    prices = [f"{i}.{i % 1000:03d},50" for i in range(1, ROWS + 1)]
    found = read(tmp_path, table(";", price=prices), TASK, target="label")
    assert remark(found, "decimal_guessed").where == "price"
    column = list(found.preprocessing["columns"])[1]
    assert column["decimal"] == ","
    assert encode([{"x": "0.5", "price": "1.234,50"}], found.preprocessing)[0].tolist() == [
        0.5,
        1234.5,
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_zeros(tmp_path: Path, encoding: str) -> None:
    content = table().decode().encode(encoding)
    found = read(tmp_path, content, TASK, target="label")
    assert encoding in remark(found, "encoding_guessed").message
    assert found.fingerprint == read(tmp_path, table(), TASK, target="label").fingerprint


def test_what_stands_around_a_table_is_left_out_and_told(tmp_path: Path) -> None:
    plain = read(tmp_path, table(), TASK, target="label")
    above = b"Sales of 2026\n# by somebody, exported\n\n" + table()
    found = read(tmp_path, above, TASK, target="label")
    assert remark(found, "lines_skipped").count == 3
    assert found.fingerprint == plain.fingerprint
    beside = table().replace(b"\n", b",,\n")
    found = read(tmp_path, beside, TASK, target="label")
    assert remark(found, "empty_column").count == 2
    assert found.fingerprint == plain.fingerprint
    one = b"x,label\n" + b"1,a\n2,b\n" * 20
    assert "lines_skipped" not in codes(read(tmp_path, one, TASK, target="label"))


@pytest.mark.parametrize(("task", "word"), [(TASK, "?"), ("tabular_regression", "NA")])
def test_a_target_without_a_value_is_unlabelled(tmp_path: Path, task: str, word: str) -> None:
    target = [word if i % 4 == 1 else str(i % 2 + i % 3) for i in range(ROWS)]
    content = table(y=target)
    options = {"missing": [word]} if task == TASK else {}
    found = read(tmp_path, content, task, target="y", unlabelled=True, **options)
    assert found.sizes["unlabelled"] == ROWS // 4
    with pytest.raises(ValueError, match=r"row 3, column 'y': the \w+ is missing"):
        read(tmp_path, content, task, target="y", **options)


def test_infinite_numbers_of_parquet_are_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    odd = np.where(np.arange(ROWS) % 3 == 0, rng.normal(size=ROWS), np.inf)
    frame = pd.DataFrame(
        {"odd": odd, "x": rng.normal(size=ROWS), "label": ["a", "b"] * (ROWS // 2)}
    )
    file = io.BytesIO()
    frame.to_parquet(file)
    found = read(tmp_path, file.getvalue(), TASK, target="label")
    assert remark(found, "bad_cells").count == 2 * ROWS // 3
    assert found.columns[0].kind == "number"


def test_an_accent_is_part_of_its_letter_however_a_system_writes_it(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Zürich") for form in ("NFC", "NFD")]
    cities = [*names, "Oslo", "Rome"] * (ROWS // 4)
    labels = [unicodedata.normalize(form, "né") for form in ("NFC", "NFD")] + ["no"]
    content = table(city=cities, kind=labels * (ROWS // 3))
    found = read(tmp_path, content, TASK, target="kind", columns={"label": "ignore"})
    assert found.preprocessing["classes"] == ["no", "né"]
    (city,) = [spec for spec in found.preprocessing["columns"] if spec["name"] == "city"]
    assert city["values"] == ["Oslo", "Rome", "Zürich"]
    assert "similar_categories" not in codes(found)
    assert encode_column(names, city).tolist() == [[2.0], [2.0]]
    old = {**city, "values": ["Oslo", "Rome", names[1]]}  # of a dataset from before
    assert encode_column([names[1]], old).tolist() == [[2.0]]


def test_a_column_that_the_train_split_cannot_tell_from_a_constant_is_left_out(
    tmp_path: Path,
) -> None:
    parts = ["train"] * 80 + ["val", "test"] * 20
    late = {
        "word": ["", "a"],
        "number": ["7", "1000000"],
        "rare": ["", "3"],
        "day": ["2026-01-01", "2026-05-05"],
    }
    columns = {name: [values[row >= 100] for row in range(ROWS)] for name, values in late.items()}
    found = read(tmp_path, table(part=parts, **columns), TASK, target="label", split_column="part")
    assert [spec["name"] for spec in found.preprocessing["columns"]] == ["x"]
    told = {column.name: column for column in found.columns}
    for name in late:
        assert told[name].role == "ignored" and "all rows of the train" in (told[name].note or "")
    assert codes(found).count("constant_column") == len(late)
    assert set(found.raw_rows or ()) == {"x"} and found.task.input_shape == (1,)
    only = table(part=parts, **columns).replace(b"x,", b"part_of,", 1)
    with pytest.raises(ValueError, match="each column is the same, or empty, in all rows of the"):
        read(
            tmp_path, only, TASK, target="label", split_column="part", columns={"part_of": "ignore"}
        )
