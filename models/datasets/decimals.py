"""Which sign stands before the decimals, by the numbers that can be read in one way alone: 12,5 and
1.234,50 but not 1.037, of which the other numbers of its column say what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.remarks import Remark

Texts = Any
"""Strings of `pyarrow`, without nulls."""

_SAMPLE = 2000
_GROUPING = "' \u2019\u00a0\u202f"
_WORDS = {".": "point", ",": "comma"}
_BEFORE, _BEHIND = r"^[^\d.,]{0,6}", r"(?:\s*[^\d.,]{1,6}\.?)?$"
_OPEN = rf"{_BEFORE}[1-9]\d{{0,2}}[.,]\d{{3}}{_BEHIND}"


def sign_of(texts: Texts, of_file: str) -> str:
    """What most cells of a column are written with, or `of_file` where they do not say."""
    points, commas = _votes(texts)
    if points == commas:
        return of_file
    return "." if points > commas else ","


def of_own_sign(name: str, sign: str) -> Remark:
    """That a column has another sign than the rest of its file."""
    message = f"{name!r} is written with a decimal {_WORDS[sign]}, unlike the rest of the file"
    return Remark("decimal_guessed", message, name)


def sign_of_file(columns: Mapping[str, Texts], separator: str) -> tuple[str, list[Remark]]:
    """What most cells of a file are written with, and what of it is a guess.

    Where they do not say, a comma is one of decimals if the file has numbers such as 1,037, none
    such as 1.037, and another separator: whoever writes thousands marks needs no semicolons.
    """
    sampled = {name: _sample(texts) for name, texts in columns.items()}
    votes = {name: _votes(texts) for name, texts in sampled.items()}
    points, commas = (sum(counts[sign] for counts in votes.values()) for sign in (0, 1))
    if points == commas == 0 and separator != ",":
        points, commas = (
            sum(_count(texts, _OPEN.replace("[.,]", mark)) for texts in sampled.values())
            for mark in ("[.]", "[,]")
        )
    sign = "," if commas > points else "."
    remarks = []
    if sign == ",":
        message = 'numbers are written with a decimal comma, as in "3,14"'
        remarks.append(Remark("decimal_guessed", message))
    said = [any(counts[way] for counts in votes.values()) for way in (0, 1)]
    if said[0] == said[1]:  # nothing says it, or cells say both
        remarks += _of_open(sampled, votes, sign)
    return sign, remarks


def _of_open(
    columns: Mapping[str, Texts], votes: Mapping[str, tuple[int, int]], sign: str
) -> Iterator[Remark]:
    """Of the columns of numbers that can be read in two ways."""
    import pyarrow.compute as pc

    for name, texts in columns.items():
        is_open = pc.match_substring_regex(texts, _OPEN)
        if any(votes[name]) or not (count := pc.sum(is_open).as_py()):
            continue
        example = texts.filter(is_open)[0].as_py()
        message = (
            f"{example!r} of {name!r} can be read in two ways, and nothing beside it says how; it "
            f"is read with a decimal {_WORDS[sign]}, the option decimal says otherwise"
        )
        yield Remark("decimal_guessed", message, name, count)


def _sample(texts: Texts) -> Texts:
    step = max(1, len(texts) // _SAMPLE)
    return texts if step == 1 else texts.take(list(range(0, len(texts), step)))


def _votes(texts: Texts) -> tuple[int, int]:
    """How many cells can be read with a point alone, and with a comma alone."""
    return _count(texts, _alone("[.]", ",")), _count(texts, _alone(",", "[.]"))


def _alone(sign: str, other: str) -> str:
    """A number with the decimal sign `sign`, which nobody could take for a thousands mark."""
    groups = rf"\d{{1,3}}(?:{other}\d{{3}})"
    whole = r"(?:0|[1-9]\d*)"
    forms = (
        rf"{groups}+{sign}\d*",
        rf"{groups}{{2,}}",
        rf"\d{{1,3}}(?:[{_GROUPING}]\d{{3}})+{sign}\d+",
        rf"{whole}{sign}(?:\d{{0,2}}|\d{{4,}})",
        rf"(?:0|[1-9]\d{{3,}}|){sign}\d+",
        rf"{whole}{sign}\d+[eE][-+]?\d+",
    )
    return rf"{_BEFORE}(?:{'|'.join(forms)}){_BEHIND}"


def _count(texts: Texts, pattern: str) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)
