"""Which kind a column is, by what most of its cells say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import boolean_of, is_unspaced
from models.datasets.decimals import sign_of
from models.datasets.many_cells import amounts_of, dates_of, numbers_of
from models.datasets.raw_table import FIRST_ROW, Texts
from models.remarks import Kind

MOST = 0.5
"""Share of the cells that has to be a number, or a date, for the rest to be unreadable."""

MIXED = 0.2
"""Share of numbers among words from which on a column of both is told."""

CODE = re.compile(r"[-+]?0\d+(?:[eE]\d+)?|\d{16,}")
_PHONE = re.compile(r"\+\d{7,}")
_HEX_DIGITS = re.compile(r"(?i)[0-9a-f]{6,}")
_INFINITE = re.compile(r"(?i)[-+]?(?:inf(?:inity)?|∞|\d+(?:\.\d+)?e\+?\d{2,3})")
_HEX = re.compile(r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{24,64}")
_NAME_OF_AN_IDENTIFIER = re.compile(
    r"(?i)(?:.*[_\s.-])?(?:id|ids|uuid|guid|index|idx|rownames?|row_?(?:id|nr|no|number))"
    r"|unnamed: ?\d+(?:\.\d+)?|.*nummer|.*[_\s.-](?:nr|no|num|number|key)\.?|(?-i:.*[a-z]Id|.*ID)"
)
_NAME_OF_A_THING = re.compile(
    r"(?i)(?:.*[_\s.-])?(?:id|ids|uuid|guid|key)|(?-i:.*[a-z]Id|.*[a-z]ID)|.*nummer|"
    r"(?:customer|client|user|member|patient|person|employee|student|account|order|product|article|"
    r"item|store|vendor|supplier|merchant|kunden?)[_\s.-]?(?:nr|no|num|number|code)\.?|"
    r"customer|client|patient|employee|student|vendor|supplier|merchant|kunde"
)
"""Of a column whose numbers say of whom or of what a row is, in several rows the same."""
_NAME_OF_A_ROW = re.compile(r"\.\.\.\d+|X|V1|(?i:nr|no|sn|s\. ?no|#|serial|row|obs)\.?")
"""Of a column that counts the rows, where its numbers do."""
_NAME_OF_A_CODE = re.compile(
    r"(?i)(?:.*[_\s.-])?(?:zip|zip_?code|plz|postcode|postal_?code|postleitzahl|phone|telephone|tel|"
    r"telefon|mobile|fax|isbn|ean|gtin|upc|sku|ssn|iban|blz)"
)
_ENGLISH = frozenset("true t yes y 1 1.0 on .t. false f no n 0 0.0 off .f.".split())
"""Words for yes and no that one column may have side by side; those of other languages mean
something else in the next one, and directions and languages are called like them.
"""
DATE_LIKE_NUMBER = re.compile(
    r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r"(?:(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d)?)?|\.0)?"
)
_DAY, _MONTH = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])"
DAY_FIRST_NUMBER = re.compile(
    rf"(?:{_DAY}{_MONTH}|{_MONTH}{_DAY}|[1-9]{_MONTH}|[1-9]{_DAY})(?:19|20)\d{{2}}(?:\.0)?"
)
"""A day, a month and a year, the zero in front of a spreadsheet's numbers left out."""
_NO_DATES = frozenset({"99991231", "99991231.0"})
"""What programs write that have no end, beside zeros of those that have no date."""
_DAY_OF_YEAR = re.compile(r"\d{4}-\d{3}")
_NAME_OF_A_PAPER = re.compile(
    r"(?i).*(?:invoice|order|ticket|case|ref(?:erence)?|code|rechnung|beleg|auftrag|akte|faktura)"
    r"(?:[_\s.-]?(?:id|nr|no|num|number|nummer))?\.?"
)
"""Of a column whose cells, as 2024-035, may be numbers of papers in their year."""
_DOUBLE_YEAR = re.compile(r"((?:19|20)\d\d)[-/](\d\d)")
_MONTH_LIKE_NUMBER = re.compile(r"(?:0[1-9]|1[0-2])\.(?:19|20)\d{2}")


@dataclass(frozen=True, eq=False)
class Cells:
    """The distinct texts of a column, and which row has which; `texts` are the distinct ones as an
    array of `pyarrow`. `form`: `clock` or `units`, as `amounts.amount_of` takes them.
    """

    name: str
    distinct: list[str]
    places: NDArray[np.int64]
    counts: NDArray[np.int64]
    decimal: str
    words: tuple[str, ...]
    texts: Texts
    form: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def is_missing(self) -> NDArray[np.bool_]:
        words = frozenset(self.words)
        return np.array([text.lower() in words for text in self.distinct], dtype=bool)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The number of each distinct text, NaN where it is none."""
        numbers = amounts_of(self.texts, {"decimal": self.decimal, **self.form})
        return np.where(self.is_missing, np.nan, numbers)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.places]

    def first_row(self, chosen: NDArray[np.bool_]) -> int:
        """The row in the file of the first cell that is `chosen`."""
        return int(np.flatnonzero(chosen[self.places])[0]) + FIRST_ROW


def cells_of(name: str, texts: Texts, decimal: str, words: tuple[str, ...]) -> Cells:
    """`decimal`: the sign of the file, which a column need not have; `words`: in lower case, those
    of a cell without a value.
    """
    encoded = texts.combine_chunks().dictionary_encode()
    dictionary = encoded.dictionary
    places = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(places, minlength=len(dictionary))
    sign = sign_of(dictionary, decimal)
    return Cells(name, dictionary.to_pylist(), places, counts, sign, words, dictionary)


def guessed_kind(cells: Cells, missing: NDArray[np.bool_]) -> Kind:
    """By all cells but the missing ones.

    Shapes:
        missing: (distinct texts,)
    """
    known = [text for text, empty in zip(cells.distinct, missing, strict=True) if not empty]
    counts = cells.counts[~missing]
    if all(boolean_of(text) is not None for text in known) and len(set(map(boolean_of, known))) > 1:
        spelled = {text.lower() for text in known}
        if len(spelled) == 2 or spelled <= _ENGLISH:
            return Kind.BOOLEAN
    if _dates_in(cells, known, missing):
        return Kind.DATE
    numbers = cells.numbers
    is_number = np.isfinite(numbers[~missing])
    others = np.flatnonzero(~is_number)
    infinite = [place for place in others if _INFINITE.fullmatch(known[place])]
    share = (counts[is_number].sum() + counts[infinite].sum()) / counts.sum()
    if share < MIXED:
        return _kind_of_words(known, counts)
    are_codes = _are_codes(cells.name, known, numbers[~missing][is_number])
    bad = len(others)
    if share > MOST and bad <= max(3, 0.1 * is_number.sum() if share < 0.9 else np.inf):
        if not are_codes:
            if _is_identifier(cells, numbers[~missing][is_number], counts):
                return Kind.IDENTIFIER
            if names_things(cells, missing):
                mostly_once = len(known) > MOST * counts.sum()
                return Kind.IDENTIFIER if mostly_once else Kind.CATEGORY
            return Kind.NUMBER
    if not are_codes and _has_both_signs(cells, missing):
        return Kind.NUMBER
    kind = _kind_of_words(known, counts)
    are_numbers = share > MOST and not are_codes and kind is Kind.IDENTIFIER
    return Kind.NUMBER if are_numbers else kind


def _has_both_signs(cells: Cells, missing: NDArray[np.bool_]) -> bool:
    """Whether nearly all cells are numbers, some with a decimal point and others with a comma."""
    other = numbers_of(cells.texts, "," if cells.decimal == "." else ".")
    are = (np.isfinite(cells.numbers) | np.isfinite(other)) & ~missing
    return bool(cells.counts[are].sum() > 0.9 * cells.counts[~missing].sum())


def names_things(cells: Cells, missing: NDArray[np.bool_]) -> bool:
    """Whether whole numbers, not all of them once, say by the column's name of whom or of what a
    row is: customers, machines, shops. More of one says nothing.

    Shapes:
        missing: (distinct texts,)
    """
    numbers = cells.numbers[~missing]
    if len(numbers) < 3 or not (numbers == np.round(numbers)).all():
        return False
    return _NAME_OF_A_THING.fullmatch(cells.name.strip()) is not None


def _kind_of_words(known: Sequence[str], counts: NDArray[np.int64]) -> Kind:
    rows, distinct = int(counts.sum()), len(known)
    sample = known[:2000]
    if distinct > 0.5 * rows and all(_HEX.fullmatch(text) for text in sample):
        return Kind.IDENTIFIER
    words = float(np.mean([len(text.split()) for text in sample])) if sample else 0.0
    dense = float(np.mean([sum(map(is_unspaced, text)) for text in sample])) if sample else 0.0
    if distinct >= 0.95 * rows and rows > 2:
        return Kind.TEXT if words >= 2 or dense >= 4 else Kind.IDENTIFIER
    if (words >= 3 or dense >= 8) and (distinct > 0.5 * rows or distinct > 50):
        return Kind.TEXT
    return Kind.CATEGORY


def _are_codes(name: str, known: Sequence[str], numbers: NDArray[np.float64]) -> bool:
    """Digits that name something and count nothing: with zeros in front or more than a float
    holds, phone numbers, letters of hexadecimal numbers among them, or under the name of a code.
    """
    if any(map(CODE.fullmatch, known)) or all(map(_PHONE.fullmatch, known)):
        return True
    is_hex = len({len(text) for text in known}) == 1 and all(map(_HEX_DIGITS.fullmatch, known))
    if is_hex and not all(text.isdecimal() for text in known):
        return True
    is_whole = bool((numbers == np.round(numbers)).all())
    return is_whole and _NAME_OF_A_CODE.fullmatch(name.strip()) is not None


def _is_identifier(cells: Cells, numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    """Whole numbers, each once, under a name as identifiers have it; or those of the rows."""
    name = cells.name.strip()
    is_unique = len(counts) > 2 and bool((counts == 1).all())
    if not is_unique or not (numbers == np.round(numbers)).all():
        return False
    if _NAME_OF_AN_IDENTIFIER.fullmatch(name):
        return True
    return _NAME_OF_A_ROW.fullmatch(name) is not None and bool((np.diff(numbers) == 1).all())


def are_double_years(texts: Sequence[str]) -> bool:
    """Whether all are a year and the next one, as 2004/05, which each by itself may be a month."""
    years = [_DOUBLE_YEAR.fullmatch(text) for text in texts]
    return len(texts) > 2 and all(
        year is not None and (int(year[1]) + 1) % 100 == int(year[2]) for year in years
    )


def _are_dates_in_digits(known: Sequence[str], counts: NDArray[np.int64]) -> bool:
    """Whether nine of ten are dates without marks, those that stand for none left out."""
    for pattern in (DATE_LIKE_NUMBER, DAY_FIRST_NUMBER):
        sample = known[:: max(1, len(known) // 200)]
        if sum(pattern.fullmatch(text) is not None for text in sample) < 0.4 * len(sample):
            continue
        own = [place for place, text in enumerate(known) if pattern.fullmatch(text)]
        none = [place for place, t in enumerate(known) if not t.strip("0.") or t in _NO_DATES]
        if len(own) > 2 and counts[own].sum() >= 0.9 * (counts.sum() - counts[none].sum()):
            return True
    return False


def _dates_in(cells: Cells, known: Sequence[str], missing: NDArray[np.bool_]) -> bool:
    """Whether most cells are dates, those without marks included if nearly all are."""
    if len(known) > 2 and all(map(_MONTH_LIKE_NUMBER.fullmatch, known)):
        return True
    if _are_dates_in_digits(known, cells.counts[~missing]):
        return True
    if all(text.isdecimal() for text in known) or are_double_years(known):
        return False
    name = cells.name.strip()
    are_papers = _NAME_OF_AN_IDENTIFIER.fullmatch(name) or _NAME_OF_A_PAPER.fullmatch(name)
    if are_papers and all(map(_DAY_OF_YEAR.fullmatch, known)):
        return False
    sample = np.flatnonzero(~missing)[:: max(1, len(known) // 500)]
    texts = cells.texts.take(sample)
    if not np.isnan(numbers_of(texts, cells.decimal)).any():
        return False
    dates = dates_of(texts)
    are = np.any([~np.isnat(found) for found in dates.values()], axis=0)
    return bool(np.average(are, weights=cells.counts[sample]) > MOST)
