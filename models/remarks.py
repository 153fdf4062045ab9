"""What a dataset tells of itself: its columns, and everything that was guessed, left out or mended
when it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


def in_number(count: int, one: str, several: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {one if count == 1 else several}"


class Kind(StrEnum):
    """What the cells of a column are."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATE = "date"
    TEXT = "text"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


class Role(StrEnum):
    """What a column is for."""

    INPUT = "input"
    TARGET = "target"
    TIME = "time"
    SERIES = "series"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file. `missing` and `distinct` count cells and values; `note` says why it is
    ignored, or how it was read.
    """

    name: str
    kind: Kind
    role: Role
    missing: int
    distinct: int
    example: str | None = None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        kind, role = Kind(document["kind"]), Role(document["role"])
        return cls(**{**document, "kind": kind, "role": role})


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was guessed, left out, filled or mended. `code` is stable; `where` names a
    column, an entry or an array, with its row where there is one; `count`: how often.
    """

    code: str
    message: str
    where: str | None = None
    count: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)
