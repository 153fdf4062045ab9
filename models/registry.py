"""Name -> entry, filled by the files of one package."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

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

    Adding an entry is adding a file with `@registry.register("name")`; nothing else changes.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self._package = kind, package
        self._entries: dict[str, T] = {}
        self._discovered = self._discovering = False
        self._discovery = threading.RLock()

    def register(self, name: str) -> Callable[[E], E]:
        """Decorator: the class or function below is `name`.

        Raises:
            ValueError: the name is taken.
        """

        def add(entry: E) -> E:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry  # type: ignore[assignment]  # a file keeps to its protocol
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        self._discover()
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            raise UnknownNameError(self.kind, name, list(self)) from None

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._discover()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def _discover(self) -> None:
        """Import the package's modules once. Another thread waits; this one may ask meanwhile."""
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
                self._discovered = True
            finally:
                self._discovering = False
