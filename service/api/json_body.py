"""JSON bodies, read to the letter."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Request

from service.refusals import InvalidError, ProblemError, item, pointer

MAX_DEPTH = 32
_DRAINED_BYTES = 16 * 1024 * 1024
_LARGEST_INTEGER = 2**63


async def json_body(request: Request) -> object:
    """The JSON of the body, refused where it is too large, too deep, or not JSON to the letter:
    doubled keys, NaN and infinity, lone surrogates, NUL.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise ProblemError(
            415,
            f"the body is {content_type or 'of no type'}, expected is application/json",
            headers={"Accept": "application/json"},
        )
    return parse_json(await _body(request))


JsonBody = Annotated[Any, Depends(json_body)]


def parse_json(data: bytes) -> object:
    """
    Raises:
        ProblemError: 400 where `data` is not JSON; 422 where it is, with values that have no
            place in a request.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_Object,
            parse_constant=_Constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        raise _malformed(f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"{error.msg} at {where}") from None
    except RecursionError:
        raise _malformed(f"it is nested deeper than {MAX_DEPTH} levels") from None
    problems = list(_problems(value, ()))
    if problems:
        raise InvalidError([item("body", pointer(path), detail) for path, detail in problems])
    return _plain(value)


class _Object(list[tuple[str, Any]]):
    """The pairs of a JSON object, doubled keys included."""


class _Constant(str):
    """NaN, Infinity or -Infinity, or a number too large for a double: not JSON, but Python's
    parser takes it.
    """


def _integer(text: str) -> object:
    """An integer that every part behind can hold; a longer one is no number of a request."""
    value = int(text) if len(text) <= 20 else _LARGEST_INTEGER
    return value if -_LARGEST_INTEGER < value < _LARGEST_INTEGER else _Constant(text[:40])


def _number(text: str) -> object:
    value = float(text)
    return value if math.isfinite(value) else _Constant(text[:40])


def _problems(value: object, path: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    if len(path) > MAX_DEPTH:
        yield path[:MAX_DEPTH], f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, _Object):
        seen: set[str] = set()
        for key, inner in value:
            if key in seen:
                yield (*path, key), "this key is given twice"
            elif bad := _bad_text(key):
                yield path, f"a key {bad}"
            else:
                yield from _problems(inner, (*path, key))
            seen.add(key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _problems(inner, (*path, index))
    elif isinstance(value, _Constant):
        yield path, f"got {value}, allowed is a finite number"
    elif isinstance(value, str) and (bad := _bad_text(value)):
        yield path, f"the text {bad}"


def _bad_text(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a surrogate pair"
    return None


def _plain(value: object) -> object:
    if isinstance(value, _Object):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _malformed(reason: str) -> ProblemError:
    return ProblemError(
        400, f"the body is not JSON: {reason}", kind="malformed-json", title="Malformed JSON"
    )


async def _body(request: Request) -> bytes:
    limit: int = request.app.state.settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    announced = int(declared) if declared.isdecimal() and len(declared) < 20 else 0
    chunks: list[bytes] = []
    size = 0
    if not (announced > limit and "expect" in request.headers):
        # what is too large is read to its end, within reason: a client that is still sending would
        # see a broken connection instead of the answer
        async for chunk in request.stream():
            size += len(chunk)
            if size > _DRAINED_BYTES:
                break
            if size <= limit:
                chunks.append(chunk)
    if max(size, announced) > limit:
        raise ProblemError(413, f"the body is larger than {limit} bytes")
    return b"".join(chunks)
