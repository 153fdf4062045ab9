"""The source of classes and functions of ours, as a file of a bundle has it."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any


def with_what_they_use(entries: Iterable[type | FunctionType]) -> list[type | FunctionType]:
    """The classes and functions of `models` that `entries` name, each before its users."""
    ordered: dict[type | FunctionType, None] = {}

    def add(entry: type | FunctionType) -> None:
        if entry not in ordered:
            for used in used_by(entry):
                add(used)
            ordered[entry] = None

    for entry in entries:
        add(entry)
    return list(ordered)


def used_by(entry: type | FunctionType) -> Iterator[type | FunctionType]:
    scope = vars(sys.modules[entry.__module__])
    names = [node.id for node in ast.walk(ast.parse(text_of(entry))) if isinstance(node, ast.Name)]
    for name in dict.fromkeys(names):
        value = scope.get(name)
        if (
            isinstance(value, type | FunctionType)
            and value is not entry
            and value.__module__.startswith("models.")
        ):
            yield value


def text_of(entry: type | Callable[..., Any]) -> str:
    """The source without decorators: they register, and mean nothing outside."""
    text = inspect.getsource(entry)
    return "".join(text.splitlines(keepends=True)[ast.parse(text).body[0].lineno - 1 :])
