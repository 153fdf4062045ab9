"""JSON to the letter, and no more of it than a request needs: what it costs to read it, or to say
what is wrong with it, is bounded before any of it is built.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import islice

from models.held_text import flaw
from service.refusals import MAX_ERRORS, InvalidError, ProblemError, item, pointer

MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Of a request; a hundred suggestions of the largest networks have ten thousand. No body has more
objects and arrays than that; an empty one counts as two values.
"""

_LARGEST_INTEGER = 2**63
_TEXTS_AT_A_TIME = 500
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_HARDLY_TEXT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def parse_json(data: bytes, most: int = MAX_VALUES) -> object:
    """`most`: values, those that hold others included.

    Raises:
        ProblemError: 400 where `data` is not JSON; 422 where it is, with values that have no
            place in a request, or with too many.
    """
    outline = _outline(data)
    brackets = outline.translate(_AS_SQUARE, _NO_BRACKETS)
    if _is_deeper(brackets, 2 * MAX_DEPTH):
        raise _malformed(f"it is nested deeper than {MAX_DEPTH} levels")
    holders = brackets.count(b"[")
    values = 1 + outline.count(b",") + holders
    for count, kind, limit in (
        (values, "values", most),
        (holders, "objects and arrays", MAX_VALUES),
    ):
        if count > limit:
            raise InvalidError([item("body", "", f"holds {count} {kind}, allowed are {limit}")])
    reading = _Reading()
    value = reading.of(data)
    if reading.is_odd or _HARDLY_TEXT.search(data) or _is_deeper(brackets, MAX_DEPTH):
        problems = _problems(value, ())
        if told := [item("body", pointer(p), why) for p, why in islice(problems, MAX_ERRORS)]:
            raise InvalidError(told, len(told) + sum(1 for _ in problems))
    return value


def _outline(data: bytes) -> bytes:
    """Without its texts. They are taken out some at a time: while a regular expression looks at a
    mebibyte, 45 ms long, no other thread runs.
    """
    parts: list[bytes] = []
    rest = data
    while True:
        *found, rest = _TEXTS.split(rest, _TEXTS_AT_A_TIME)
        parts += found
        if len(found) < _TEXTS_AT_A_TIME:
            return b"".join([*parts, rest])


def _is_deeper(brackets: bytes, levels: int) -> bool:
    """Taking away what holds nothing, level by level: the time is that of a few copies."""
    for _ in range(levels):
        if b"[" * (levels + 1) in brackets:
            return True
        outer = brackets.replace(b"[]", b"")
        if outer == brackets:
            return brackets.count(b"[") > levels
        brackets = outer
    return b"[" in brackets


class _Members(list[tuple[str, object]]):
    """The pairs of a JSON object with doubled keys."""


class _Constant(str):
    """NaN, Infinity or -Infinity, or a number too large for a double: not JSON, but Python's
    parser takes it.
    """


class _Reading:
    """Of one text. `is_odd`: what it gave holds members or constants that are none."""

    def __init__(self) -> None:
        self.is_odd = False

    def of(self, data: bytes) -> object:
        try:
            return json.loads(
                data.decode("utf-8"),
                object_pairs_hook=self._members,
                parse_constant=self._constant,
                parse_int=self._integer,
                parse_float=self._number,
            )
        except UnicodeDecodeError as error:
            raise _malformed(f"it is not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise _malformed(f"{error.msg} at {where}") from None

    def _members(self, pairs: list[tuple[str, object]]) -> object:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        self.is_odd = True
        return _Members(pairs)

    def _constant(self, text: str) -> object:
        self.is_odd = True
        return _Constant(text[:40])

    def _integer(self, text: str) -> object:
        """An integer that every part behind can hold; a longer one is no number of a request."""
        value = int(text) if len(text) <= 20 else _LARGEST_INTEGER
        return value if -_LARGEST_INTEGER < value < _LARGEST_INTEGER else self._constant(text)

    def _number(self, text: str) -> object:
        value = float(text)
        return value if math.isfinite(value) else self._constant(text)


def _problems(value: object, path: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    if len(path) > MAX_DEPTH:
        yield path[:MAX_DEPTH], f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, dict | _Members):
        seen: set[str] = set()
        for key, inner in value.items() if isinstance(value, dict) else value:
            if key in seen:
                yield (*path, key), "this key is given twice"
            elif bad := flaw(key):
                yield path, f"a key {bad}"
            else:
                yield from _problems(inner, (*path, key))
            seen.add(key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _problems(inner, (*path, index))
    elif isinstance(value, _Constant):
        yield path, f"got {value}, allowed is a finite number"
    elif isinstance(value, str) and (bad := flaw(value)):
        yield path, f"the text {bad}"


def _malformed(reason: str) -> ProblemError:
    return ProblemError(
        400, f"the body is not JSON: {reason}", kind="malformed-json", title="Malformed JSON"
    )
