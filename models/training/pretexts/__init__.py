"""Tasks that need no labels, one a file: what a network's body learns from before it sees any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Generator, Tensor, nn

from models.family import families
from models.registry import Registry
from models.task import Task


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network's body makes of a batch.

    Shapes:
        features: (N, width), what the head reads
        places: (N, width, height, width) of an image or (N, length, width), as `Body.places` has
            it; None where a sample has no places
    """

    features: Tensor
    places: Tensor | None


Observe = Callable[[Tensor], Seen]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What there is to learn from: all samples, what they are, and whether a mirrored image is
    one as well.
    """

    samples: Tensor
    task: Task
    preprocessing: Mapping[str, Any]
    flip: bool


class Pretext(Protocol):
    """`tasks`: whose samples it can take; `views`: how many inputs it makes of a sample.

    It has what stands in for the network's head and is thrown away afterwards: built by torch's
    global generator, for features as those that were `seen`.
    """

    tasks: ClassVar[frozenset[str]]
    views: ClassVar[int]

    def __init__(self, material: Material, seen: Seen) -> None: ...

    def loss(self, observe: Observe, x: Tensor, generator: Generator) -> Tensor:
        """The mean loss of a batch of samples, a scalar with gradient; `generator` is the CPU's."""

    def to(self, device: Any) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


pretexts: Registry[type[Pretext]] = Registry("pretraining", __name__)


def allowed(family: str, task_name: str) -> list[str]:
    """What the recipe's `pretraining` may be for networks of a family."""
    able = families[family].pretrainable
    known = (name for name, entry in pretexts.items() if able and task_name in entry.tasks)
    return ["none", *known]
