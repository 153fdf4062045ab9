"""JSON bodies: read as they come, large ones parsed in turns: nobody waits for another's."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from service.api.problems import invalid_items
from service.api.strict_json import MAX_VALUES, parse_json
from service.api.turns import dear
from service.refusals import InvalidError, ProblemError

M = TypeVar("M", bound=BaseModel)

MAX_ROW_VALUES = 150_000
"""In rows to predict from, which are many and flat."""

_SMALL_BYTES = 16 * 1024
"""Which take a millisecond or two at the worst."""

_DRAINED_BYTES = 16 * 1024 * 1024


async def json_bytes(request: Request) -> bytes:
    """The body as it came, refused where it is too large, or says that it is something else."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise ProblemError(
            415,
            f"the body is {content_type or 'of no type'}, expected is application/json",
            headers={"Accept": "application/json"},
        )
    return await _body(request)


_Bytes = Annotated[bytes, Depends(json_bytes)]


async def json_body(request: Request, data: _Bytes) -> object:
    """The JSON of the body, refused where it is too much, or not JSON to the letter: doubled keys,
    NaN and infinity, lone surrogates, NUL.
    """
    return await _parsed(request, data, MAX_VALUES)


async def json_rows(request: Request, data: _Bytes) -> object:
    """The same, of more values."""
    return await _parsed(request, data, MAX_ROW_VALUES)


JsonBody = Annotated[Any, Depends(json_body)]
JsonRows = Annotated[Any, Depends(json_rows)]


def validated(model: type[M], body: object) -> M:
    """
    Raises:
        InvalidError: everything that is wrong with the body, at once.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = [{**wrong, "loc": ("body", *wrong["loc"])} for wrong in error.errors()]
        raise InvalidError(invalid_items(found)) from None


async def _parsed(request: Request, data: bytes, most: int) -> object:
    if len(data) <= _SMALL_BYTES:
        return parse_json(data, most)
    return await dear(request).parsing.take(parse_json, data, most)


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
