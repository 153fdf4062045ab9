"""What other installed distributions add to the registries.

A distribution names an entry by an entry point of the registry's group, as in its pyproject.toml
`[project.entry-points."nasmith.strategies"]` `coin = "its_package:Coin"`: the entry is `coin` in a
request, and the object is what our own files register. One that cannot be taken is left out, with
the reason.
"""

from __future__ import annotations

import importlib.metadata
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

OWN_DISTRIBUTION = "nasmith-server"
_NAME = re.compile("[a-z][a-z0-9_]{0,63}")

_log = logging.getLogger("nasmith.plugins")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an entry comes from."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def is_own(self) -> bool:
        return self.distribution == OWN_DISTRIBUTION


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """An entry point that is left out. `reason`: for people."""

    group: str
    name: str
    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class Plugin:
    name: str
    entry: Any
    source: Source


@lru_cache(1)
def own_source() -> Source:
    """Of the entries that come with Nasmith."""
    return Source(OWN_DISTRIBUTION, importlib.metadata.version(OWN_DISTRIBUTION))


def plugins(
    group: str, owner: Callable[[str], str | None], check: Callable[[Any], None]
) -> Iterator[Plugin | BrokenPlugin]:
    """Everything that is installed for a group, by distribution and name. The caller takes each
    before it asks for the next, so that of two with one name the second is broken.

    `owner` says in words what has a name already, `the strategy of nasmith-server 0.1.0`; `check`
    raises TypeError or ValueError where an object is not what the group is for.
    """
    found = importlib.metadata.entry_points(group=group)
    for point in sorted(found, key=lambda point: (_source(point).distribution, point.name)):
        try:
            if _NAME.fullmatch(point.name) is None:
                raise ValueError("its name is none of a request: a-z, then a-z, 0-9 and _")
            if (taken := owner(point.name)) is not None:
                raise ValueError(f"the name {point.name!r} is taken by {taken}")
            entry = point.load()
            check(entry)
        except (Exception, SystemExit) as error:  # whatever it does, the rest goes on
            reason = f"{type(error).__name__}: {error}"
            _log.warning("%s of %s is left out: %s", point.value, _source(point), reason)
            yield BrokenPlugin(group, point.name, _source(point), reason)
        else:
            yield Plugin(point.name, entry, _source(point))


def require(entry: object, *names: str) -> None:
    """
    Raises:
        TypeError: `entry` lacks one of these.
    """
    if missing := [name for name in names if not hasattr(entry, name)]:
        raise TypeError(f"{entry!r} lacks {', '.join(missing)}")


def _source(point: importlib.metadata.EntryPoint) -> Source:
    if point.dist is None:
        return Source("unknown", "unknown")
    return Source(point.dist.name, point.dist.version)
