"""What a request may name as its space: a family of networks, or that of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, Protocol

from models.family import FamilySettings, families
from models.registry import UnknownNameError

TABLE: Final = "table"
"""The family of the architectures of a table, and the task of a dataset that is one."""


class Space(Protocol):
    """What a request may say about a space, and the tasks that it is for."""

    Settings: type[FamilySettings]
    tasks: frozenset[str]


class TableSettings(FamilySettings):
    """The space of a table of known results, which is its own: there is nothing to say about it,
    and it may be left out.
    """

    family: Literal["table"]


class TableSpace(Space):
    Settings = TableSettings
    tasks = frozenset({TABLE})


class Spaces(Mapping[str, Space]):
    """The registered families and the space of a table, by name."""

    kind = families.kind

    def __getitem__(self, name: str) -> Space:
        if name == TABLE:
            return TableSpace()
        try:
            return families[name]
        except UnknownNameError:
            raise UnknownNameError(self.kind, name, list(self)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*families, TABLE]))

    def __len__(self) -> int:
        return len(families) + 1


spaces = Spaces()
