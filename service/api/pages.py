"""Cursor pages: a token says where the next page begins, and for which filters."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query

from service.refusals import InvalidError, item

DEFAULT_SIZE, LARGEST_SIZE = 20, 100

PageSize = Annotated[
    int, Query(ge=1, le=LARGEST_SIZE, description=f"items on a page, 1 to {LARGEST_SIZE}")
]
PageToken = Annotated[
    str | None,
    Query(max_length=300, description="`next_page_token` of the page before; the filters stay"),
]


def encode_token(position: str | int, filters: Mapping[str, str | None]) -> str:
    text = json.dumps([position, _set(filters)], sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, filters: Mapping[str, str | None]) -> str | int:
    """The position of a token.

    Raises:
        InvalidError: no token of ours, or one of other filters.
    """
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        position, given = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        position, given = None, None
    if not isinstance(position, str | int) or isinstance(position, bool):
        raise invalid_token()
    if given != _set(filters):
        raise _invalid(f"a token of other filters: {given}")
    return position


def invalid_token() -> InvalidError:
    return _invalid("not a token of this list; take next_page_token of the page before")


def _set(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _invalid(detail: str) -> InvalidError:
    return InvalidError([item("query", "/page_token", detail)])
