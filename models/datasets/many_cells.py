"""Many cells at once, each read as `models.datasets.cells` reads one.

What is written in a usual way is read by `pyarrow` and `numpy`; the rest goes cell by cell.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.amounts import amount_of, number_of
from models.datasets.cells import bucket_of, tokens_of
from models.datasets.dates import date_of

TextArray = Any
"""A `pyarrow.StringArray` without nulls."""

_CURRENCY = (
    r"(?i)^([-+]?)\s*(?:(?:us|ca|au?|nz|hk|r)?\$|[€£¥₹₩₽₺₴]|usd|eur|gbp|chf|jpy|cny|inr|rs\.?|kr\.?|"
    r"fr\.?)\s*|\s*(?:[%$€£¥₹₩₽₺₴]|usd|eur|gbp|chf|jpy|cny|inr|sek|nok|dkk|pln|czk|kr\.?|zł|kč)$"
)
_DATE = (
    r"^(?P<first>\d{1,4})(?P<mark>[-/.])(?P<middle>\d{1,2})(?P<other>[-/.])(?P<last>\d{1,4})"
    r"(?:[T ,]+(?P<hour>[01]?\d|2[0-3]):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?"
    r" ?(?:[zZ]|UTC|[-+]\d{2}:?(?:\d{2})?)?)?$"
)
_DAY_AND_MONTH = re.compile(r"\s*(?:\d{1,2}[-/. ]|\d{7,8}(?!\d))")
DIGIT = r"\p{Nd}"
_NO_NUMBER = r"[/:_#&@!?;=]|\p{L}{6}"
"""What no number holds, with whatever currency."""
ORDERS = ("dmy", "mdy", "ymd")


def numbers_of(texts: TextArray, decimal: str) -> NDArray[np.float64]:
    """`number_of` each text, NaN where it is none.

    Shapes:
        (N,)
    """
    numbers = np.full(len(texts), np.nan)
    left = _read(texts, numbers, decimal, is_amount=False)
    left = left[matches(texts.take(left), DIGIT) & ~matches(texts.take(left), _NO_NUMBER)]
    left = left[_read(texts.take(left), numbers, decimal, is_amount=True, places=left)]
    for place in left:
        number = number_of(texts[int(place)].as_py(), decimal)
        numbers[place] = np.nan if number is None else number
    return numbers


def amounts_of(texts: TextArray, column: Mapping[str, Any]) -> NDArray[np.float64]:
    """`amount_of` each text, NaN where it is none.

    Shapes:
        (N,)
    """
    if column.get("clock"):
        numbers = np.full(len(texts), np.nan)
    else:
        numbers = numbers_of(texts, column.get("decimal", "."))
        numbers *= column.get("units", {}).get("", 1.0)
    if column.get("clock") or column.get("units") or column.get("marked"):
        left = np.flatnonzero(np.isnan(numbers))
        for place in left[matches(texts.take(left), DIGIT)]:
            number = amount_of(texts[int(place)].as_py(), column)
            numbers[place] = np.nan if number is None else number
    return numbers


def dates_in(texts: TextArray, order: str) -> NDArray[np.datetime64]:
    """`date_of` each text, NaT where it is none, in whichever order, of numbers too.

    Shapes:
        (N,) seconds
    """
    return np.array([seconds_of(date_of(text, order)) for text in texts.to_pylist()])


def dates_of(texts: TextArray) -> dict[str, NDArray[np.datetime64]]:
    """By the order of day and month: `date_of` each text, NaT where it is none.

    Shapes:
        (N,) seconds
    """
    import pyarrow.compute as pc

    found = pc.extract_regex(texts, _DATE)
    is_read = found.is_valid().to_numpy(zero_copy_only=False)
    dates = {order: np.full(len(texts), "NaT", dtype="datetime64[s]") for order in ORDERS}
    if is_read.any():
        parts = found.drop_null()
        for order, values in dates.items():
            values[is_read] = _dates(parts, order)
    left = np.flatnonzero(~is_read)
    for place in left[matches(texts.take(left), DIGIT)]:
        text = texts[int(place)].as_py()
        date = date_of(text)
        is_named = date is not None and _DAY_AND_MONTH.match(text) is None
        for order, values in dates.items():
            values[place] = seconds_of(date if is_named else date_of(text, order))
    return dates


def seconds_of(date: datetime.datetime | None) -> np.datetime64:
    return np.datetime64("NaT", "s") if date is None else np.datetime64(date, "s")


def text_parts_of(texts: Sequence[str], buckets: int, kind: str) -> NDArray[np.float64]:
    """`preprocess.hashed_texts` of each text.

    Shapes:
        (N, buckets)
    """
    place = cache(lambda token: bucket_of(token, buckets))
    counts = np.zeros((len(texts), buckets))
    for row, text in zip(counts, texts, strict=True):
        tokens = tokens_of(text, kind)
        pairs = [f"{a} {b}" for a, b in itertools.pairwise(tokens)]
        places = [place(token) for token in tokens] + [bucket_of(p, buckets) for p in pairs]
        row += np.bincount(places, minlength=buckets) if places else 0
    parts: NDArray[np.float64] = np.log1p(counts, out=counts)
    length = np.sqrt(np.square(parts).sum(axis=1, keepdims=True))
    parts /= np.where(length > 0, length, 1.0)
    return parts


def _read(
    texts: TextArray,
    numbers: NDArray[np.float64],
    decimal: str,
    *,
    is_amount: bool,
    places: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Fill in what can be read at once, and say which texts are left; `places`: of the texts among
    the numbers. Of amounts a currency, a percent sign and thousands marks are taken off first.
    """
    import pyarrow.compute as pc

    places = np.arange(len(texts)) if places is None else places
    point = "\\." if decimal == "." else ","
    plain = rf"^[-+]?(\d+{point}?\d*|{point}\d+)([eE][-+]?\d{{1,3}})?$"
    is_percent = np.zeros(len(texts), dtype=bool)
    if is_amount:
        is_percent = pc.ends_with(texts, "%").to_numpy(zero_copy_only=False)
        texts = _ungrouped(pc.replace_substring_regex(texts, _CURRENCY, r"\1"), decimal, point)
    is_plain = matches(texts, plain)
    if is_plain.any():
        written = pc.replace_substring(texts.filter(is_plain), decimal, ".")
        values = written.cast("float64").to_numpy(zero_copy_only=False)
        values = np.where(np.abs(values) < 3e38, values, np.nan)
        percent = is_percent[is_plain]
        numbers[places[is_plain]] = np.where(percent, values / 100, values)
    return np.flatnonzero(~is_plain)


def _ungrouped(texts: TextArray, decimal: str, point: str) -> TextArray:
    """Without thousands marks, where they stand as they should."""
    import pyarrow.compute as pc

    for mark in ("." if decimal == "," else ",", "'", "\u2019", " ", "\u00a0", "\u202f"):
        sign = "\\." if mark == "." else mark
        is_grouped = matches(texts, rf"^[-+]?[1-9]\d{{0,2}}({sign}\d{{3}})+({point}\d*)?$")
        if is_grouped.any():
            texts = pc.if_else(is_grouped, pc.replace_substring(texts, mark, ""), texts)
    return texts


def _dates(parts: Any, order: str) -> NDArray[np.datetime64]:
    """Of the groups of `_DATE`."""
    import pyarrow.compute as pc

    def lengths(name: str) -> NDArray[np.int64]:
        found: NDArray[np.int64] = pc.utf8_length(parts.field(name)).to_numpy().astype(np.int64)
        return found

    def numbers(name: str) -> NDArray[np.int64]:
        field = parts.field(name)
        filled = pc.if_else(pc.equal(field, ""), "0", field)
        found: NDArray[np.int64] = filled.cast("int64").to_numpy()
        return found

    year_first = lengths("first") == 4
    first, middle, last = numbers("first"), numbers("middle"), numbers("last")
    of_year = lengths("last")
    is_short = (of_year == 2) & (lengths("first") == 2)
    day, month = (middle, first) if order == "mdy" else (first, middle)
    year = last
    if order == "ymd":
        day, year = np.where(is_short, last, day), np.where(is_short, first, year)
    year = year + np.where(of_year == 4, 0, np.where(year > 68, 1900, 2000))
    year, month, day = (
        np.where(year_first, one, other)
        for one, other in ((first, year), (middle, month), (last, day))
    )
    hour, minute, second = numbers("hour"), numbers("minute"), numbers("second")
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    is_date = (
        pc.equal(parts.field("mark"), parts.field("other")).to_numpy(zero_copy_only=False)
        & (year_first | (of_year == 2) | (of_year == 4))
        & (year >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (day <= length.astype(np.int64))
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
    )
    seconds = (months.astype("datetime64[D]") + (day - 1)).astype("datetime64[s]")
    seconds = seconds + hour * 3600 + minute * 60 + second
    return np.where(is_date, seconds, np.datetime64("NaT", "s"))


def matches(texts: TextArray, pattern: str) -> NDArray[np.bool_]:
    """Where a pattern of RE2 is found in a text."""
    import pyarrow.compute as pc

    found: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern).to_numpy(
        zero_copy_only=False
    )
    return found
