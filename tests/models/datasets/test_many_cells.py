"""Cells that are read at once are read as one by one."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.datasets.amounts import number_of
from models.datasets.cells import unicode_words, words
from models.datasets.dates import date_of
from models.datasets.inputs import Categories
from models.datasets.many_cells import dates_of, numbers_of, text_parts_of
from models.datasets.preprocess import hashed_texts

OF_NUMBERS = "1_12_234_000_._,_'_ _\xa0_\u2019_\u202f_-_+_%_$_€_EUR_rs._(_)_e5_e400_\u2212_\u0663_"
OF_DATES = "1|12|31|29|02|2024|1969|26|0000|20260131|-|/|.|T| |:|12:30|24:00|.5|Z|+01:00| PM|Jan"
NUMBERS, DATES = st.sampled_from(OF_NUMBERS.split("_")), st.sampled_from(OF_DATES.split("|"))
LOCAL = st.tuples(
    st.integers(0, 40), st.sampled_from("-/."), st.integers(0, 14), st.integers(0, 2100)
).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]}{parts[1]}{parts[3]}")


def pieces(of: st.SearchStrategy[str], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.lists(of, max_size=most).map("".join), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(pieces(NUMBERS, 7), st.sampled_from(".,"))
@example(["1.234,5", "12 %", "€ 7", "+5", ".5", "1e39", "-1'000", "7\u00a0EUR", ""], ",")
def test_numbers(texts: list[str], decimal: str) -> None:
    found = numbers_of(pa.array(texts, pa.string()), decimal)
    expected = [number_of(text, decimal) for text in texts]
    as_floats = [np.nan if number is None else number for number in expected]
    np.testing.assert_array_equal(found, as_floats)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.one_of(st.lists(DATES, max_size=9).map("".join), st.datetimes().map(str), LOCAL),
        min_size=1,
        max_size=20,
    )
)
@example(["29.02.2024", "29.02.2023", "2/1/26", "2026-01-31T12:30:05.25+01:00", "1.2/2026"])
def test_dates(texts: list[str]) -> None:
    for order, found in dates_of(pa.array(texts, pa.string())).items():
        expected: list[datetime.datetime | None] = [date_of(text, order) for text in texts]
        np.testing.assert_array_equal(found, np.array(expected, dtype="datetime64[s]"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=5))
@example(["It's a b a", "", "\x1f.\x0b"])
def test_texts(texts: list[str]) -> None:
    found = text_parts_of(texts, 64, "unicode_words")
    np.testing.assert_allclose(found, hashed_texts(texts, 64, "unicode_words"))
    for text in filter(str.isascii, texts):
        assert unicode_words(text) == words(text)


@given(st.lists(st.text(max_size=2), min_size=1))
def test_categories_are_numbered_in_order(texts: list[str]) -> None:
    codes = Categories(np.array(texts, dtype=object)).codes()
    np.testing.assert_array_equal(codes, [sorted(set(texts)).index(text) for text in texts])
