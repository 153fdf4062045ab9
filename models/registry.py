"""Name -> entry, filled by the files of one package and by what other distributions add to them."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from models.plugins import BrokenPlugin, Source, own_source, plugins

T = TypeVar("T")
E = TypeVar("E")


class UnknownNameError(KeyError):
    """A name that no file registered; the message lists those that are."""

    def __init__(self, kind: str, name: object, known: list[str]) -> None:
        super().__init__(name)
        self.kind, self.name, self.known = kind, name, known

    def __str__(self) -> str:
        return f"unknown {self.kind} {self.name!r}, known are {', '.join(self.known) or 'none'}"


class Registry(Mapping[str, T]):
    """A mapping that imports every module of `package` before it answers for the first time.

    Adding an entry is adding a file with `@registry.register("name")`; nothing else changes. Other
    distributions add theirs by entry points of the group `plugins` (`models.plugins`), each an
    object that `check` takes, under a name that no file registered and that is not `reserved`:
    name -> what else it means where an entry is named.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        *,
        plugins: str | None = None,
        check: Callable[[Any], None] = lambda entry: None,
        reserved: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.kind, self._package = kind, package
        self._group, self._check, self._reserved = plugins, check, reserved
        self._entries: dict[str, T] = {}
        self._sources: dict[str, Source] = {}
        self._broken: list[BrokenPlugin] = []
        self._discovered = self._discovering = False
        self._discovery = threading.RLock()

    def register(self, name: str) -> Callable[[E], E]:
        """Decorator: the class or function below is `name`.

        Raises:
            ValueError: the name is taken, or reserved.
        """

        def add(entry: E) -> E:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            if name in self._reserved:
                raise ValueError(f"{self.kind} {name!r}: that is {self._reserved[name]}")
            self._entries[name] = entry  # type: ignore[assignment]  # a file keeps to its protocol
            return entry

        return add

    def source(self, name: str) -> Source:
        """The distribution that an entry comes from."""
        self.discover()
        return self._sources.get(name) or own_source()

    @property
    def broken(self) -> Sequence[BrokenPlugin]:
        """What other distributions tried to add, and cannot be used."""
        self.discover()
        return tuple(self._broken)

    def __getitem__(self, name: str) -> T:
        self.discover()
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            raise UnknownNameError(self.kind, name, list(self)) from None

    def __iter__(self) -> Iterator[str]:
        self.discover()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self.discover()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        self.discover()
        return name in self._entries

    def _owner(self, name: str) -> str | None:
        """What has the name already, in words."""
        if name in self._reserved:
            return self._reserved[name]
        if name in self._entries:
            return f"the {self.kind} of {self._sources.get(name) or own_source()}"
        return None

    def _take_plugins(self) -> None:
        self._broken.clear()
        if self._group is None:
            return
        for found in plugins(self._group, self._owner, self._check):
            if isinstance(found, BrokenPlugin):
                self._broken.append(found)
            else:
                self._entries[found.name] = found.entry
                self._sources[found.name] = found.source

    def discover(self) -> None:
        """Import the package's modules and the plug-ins once, as the first use does. Another thread
        waits; this one may ask meanwhile.
        """
        if self._discovered:
            return
        with self._discovery:
            if self._discovered or self._discovering:
                return
            self._discovering = True
            try:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
                    importlib.import_module(module.name)
                self._take_plugins()
                self._discovered = True
            finally:
                self._discovering = False
