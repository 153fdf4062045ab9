"""Parts that a network has many of, built alike: a network that is only counted needs one of each.

A family makes such a part by `repeated`. Within `each_once` equal parts are one module, so that
building a network, and running it on the meta device, takes no longer for 64 cells than for the few
that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)

_parts: ContextVar[dict[Hashable, nn.Module] | None] = ContextVar("parts", default=None)


@contextmanager
def each_once() -> Iterator[dict[Hashable, nn.Module]]:
    """For one network, which nobody trains: the parts that it is made of, as they come."""
    parts: dict[Hashable, nn.Module] = {}
    token = _parts.set(parts)
    try:
        yield parts
    finally:
        _parts.reset(token)


def repeated(key: Hashable, make: Callable[[], M]) -> M:
    """`make()`. `key` tells apart all that is made of a network with it, the class included."""
    parts = _parts.get()
    if parts is None:
        return make()
    if key not in parts:
        parts[key] = make()
    return parts[key]  # type: ignore[return-value]  # what this key was made with


def count_parameters(network: nn.Module, parts: frozenset[int]) -> int:
    """As if each part, told by its `id`, were as many modules as it has places."""
    counted: dict[int, int] = {}

    def count(module: nn.Module) -> int:
        found = counted.get(id(module))
        if found is not None:
            return found if id(module) in parts else 0
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        inner = (count(child) for child in module._modules.values() if child is not None)
        counted[id(module)] = total = own + sum(inner)
        return total

    return count(network)
