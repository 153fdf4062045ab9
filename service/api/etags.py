"""Entity tags and If-None-Match, RFC 9110, sections 8.8.3 and 13.1.2."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match", description="ETags that are held; 304 if one of them still holds"
    ),
]


def weak(value: object) -> str:
    """The tag of something whose meaning, not whose bytes, stay the same."""
    return f'W/"{value}"'


def is_held(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names `etag`, by weak comparison, in a list or as `*`."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix("W/") in _TAG.findall(if_none_match)
