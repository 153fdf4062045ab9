"""Operations of cells, by their names in DARTS and NAS-Bench-201, as plain torch modules.

One file adds an operation: under `@operation(name, topologies=...)` a module class with the
constructor `(channels: int, stride: int = 1, batch_norm: bool = True)`. The text of the class goes
into an exported `model.py`, so it needs nothing but torch and the plain classes beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from models.registry import Registry
from models.repeated import repeated

M = TypeVar("M", bound=type[nn.Module])


@dataclass(frozen=True, slots=True)
class Operation:
    """What an edge of a cell does.

    `module` is None for the operation whose output is zero. `strided`, where given, replaces
    `module` at stride 2. `topologies` names the cells in which the operation may stand.
    """

    name: str
    topologies: tuple[str, ...]
    module: type[nn.Module] | None
    strided: type[nn.Module] | None = None

    @property
    def is_zero(self) -> bool:
        return self.module is None

    @property
    def is_identity(self) -> bool:
        """At stride 1."""
        return self.module is not None and issubclass(self.module, nn.Identity)

    def build(self, channels: int, stride: int = 1, batch_norm: bool = True) -> nn.Module:
        """The module of one edge.

        Shapes:
            (N, channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride))

        Raises:
            ValueError: the operation is zero: an edge without a module.
        """
        module = self.strided if stride > 1 and self.strided else self.module
        if module is None:
            raise ValueError(f"{self.name} has no module")
        given = (channels, stride, batch_norm)
        return repeated((module, *given), lambda: module(*given))


def _check(entry: object) -> None:
    if not isinstance(entry, Operation):
        raise TypeError(f"{entry!r} is no Operation")


operations: Registry[Operation] = Registry(
    "operation", __name__, plugins="nasmith.operations", check=_check
)


def operation(
    name: str, *, topologies: tuple[str, ...], strided: type[nn.Module] | None = None
) -> Callable[[M], M]:
    """Decorator: the class below is the operation `name`; it stays the class that it was."""

    def register(module: M) -> M:
        operations.register(name)(Operation(name, topologies, module, strided))
        return module

    return register


def allowed(topology: str) -> tuple[str, ...]:
    """The operations that may stand in cells of `topology`, sorted."""
    return tuple(name for name, entry in operations.items() if topology in entry.topologies)
