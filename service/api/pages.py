"""Cursor pages: a token says where the next page begins, and for which filters."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Annotated, LiteralString

from fastapi import Query
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from service.refusals import InvalidError, item

DEFAULT_SIZE, LARGEST_SIZE = 20, 100
_FOREIGN: LiteralString = "not a token of this list; take next_page_token of the page before"

PageSize = Annotated[
    int, Query(ge=1, le=LARGEST_SIZE, description=f"items on a page, 1 to {LARGEST_SIZE}")
]


def _read(token: str) -> tuple[str | int, object]:
    """The position and the filters of a token.

    Raises:
        PydanticCustomError: no token of ours.
    """
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        position, filters = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        position, filters = None, None
    if not isinstance(position, str | int) or isinstance(position, bool):
        raise PydanticCustomError("page_token", _FOREIGN)
    return position, filters


def _checked(token: str) -> str:
    _read(token)
    return token


PageToken = Annotated[
    Annotated[str, AfterValidator(_checked)] | None,
    Query(max_length=300, description="`next_page_token` of the page before; the filters stay"),
]


def encode_token(position: str | int, filters: Mapping[str, str | None]) -> str:
    text = json.dumps([position, _set(filters)], sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, filters: Mapping[str, str | None]) -> str | int:
    """The position of a `PageToken`.

    Raises:
        InvalidError: it is one of other filters.
    """
    position, given = _read(token)
    if given != _set(filters):
        raise _invalid(f"a token of other filters: {given}")
    return position


def decode_id(
    token: str | None, filters: Mapping[str, str | None], is_id: Callable[[str], bool]
) -> str | None:
    """The same where the position is an identifier; None of no token.

    Raises:
        InvalidError: it is one of other filters, or of another list.
    """
    if token is None:
        return None
    position = decode_token(token, filters)
    if not (isinstance(position, str) and is_id(position)):
        raise invalid_token()
    return position


def invalid_token() -> InvalidError:
    return _invalid(_FOREIGN)


def _set(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _invalid(detail: str) -> InvalidError:
    return InvalidError([item("query", "/page_token", detail)])
