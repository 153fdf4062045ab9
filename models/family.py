"""What a family of networks is: what can be decided and what it builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from torch import Tensor, nn

from models.architecture import Architecture, Decision, When
from models.plugins import require
from models.recipe import Recipe
from models.registry import Registry
from models.remarks import Remark
from models.settings import Settings
from models.task import TASK_NAMES, Task


class FamilySettings(Settings):
    """What a request may say about a family's space. Each scalar is a literal or a domain."""

    family: str = ""

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        """With what a request leaves open and the task decides. `shares_weights`: of networks in
        one supernet, so that what shapes it has one value. A stored space is not asked: what it
        does not say has its default.
        """
        return self

    def doubts(self, task: Task) -> Sequence[Remark]:
        """What a request may ask for, and had better not, each with the field that it is about;
        called with what `for_task` gives.
        """
        return ()


class InfeasibleError(ValueError):
    """No network can be built from this; `field` is the setting or decision at fault.

    The message says the value received and what would be allowed.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def vocabulary_of(task: Task, family: str) -> int:
    """How many tokens the texts have that `family` classifies.

    Raises:
        InfeasibleError: the task is of no texts.
    """
    if task.form != "text_classification" or task.vocabulary is None:
        raise InfeasibleError(
            "family",
            f"{family} needs a text_classification, got {task.name} with {task.input_shape}",
        )
    return task.vocabulary


@dataclass(frozen=True, slots=True)
class Definition:
    """A network written down as plain PyTorch; `models.exporters.source` makes `model.py` of it.

    `text` defines `class Network(nn.Module)`, whose constructor takes nothing and whose state_dict
    names equal those of `Family.build`, and may use torch, `Tensor`, `nn`, `functional` and
    `classes`. The source of `classes` is copied, with the plain classes and functions that they
    use themselves. `preprocess`, where given, stands in for what `models.datasets.preprocess` has:
    the text of a function `preprocess` for raw samples that are not one tensor.
    """

    classes: tuple[type[nn.Module] | FunctionType, ...]
    text: str
    preprocess: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """Where the features of a network are seen, by the names of its modules.

    `head` reads the answer from the features (N, width), and is given nothing else. `places` gives
    those of every place of a sample: (N, width, h, w) of an image, or (N, length, width) of tokens,
    patches or time steps, the last `length` of them; None where a sample has no places.
    """

    head: str
    places: str | None = None


@runtime_checkable
class Pretrainable(Protocol):
    """A network whose body can learn without labels, `models.training.pretraining`."""

    def body(self) -> Body: ...


@runtime_checkable
class OfMembers(Protocol):
    """A network of several members, each of which is trained to be right by itself; `forward` says
    what they say together.
    """

    members: int

    def each(self, x: Any) -> Tensor:
        """What each member says of samples.

        Shapes:
            (N, *task.input_shape) -> (N, members, task.outputs)
        """


RecipeWhen = Mapping[str, When | None]
"""By field of the recipe: the decisions under which a family's networks have a use for it; None:
never. What is not named, they always have.
"""


class Family(Protocol):
    """One family. An instance has no state. `pretrainable`: its networks are `Pretrainable`."""

    Settings: type[FamilySettings]
    tasks: frozenset[str]
    pretrainable: bool
    recipe_when: ClassVar[RecipeWhen] = {}

    def decisions(self, settings: FamilySettings, task: Task) -> Sequence[Decision]:
        """All points of choice, each after those that it depends on. Fixed ones have one option.

        Raises:
            InfeasibleError: no network of these settings fits the task.
        """

    def build(self, architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        """The network, freshly initialised by torch's global generator.

        Only plain modules that `models.exporters.source` can write down as readable PyTorch.
        `recipe` contributes what changes the network: `dropout`, `batch_norm`.

        Shapes:
            (N, *task.input_shape) float32, or int64 for a text task
            -> (N, task.outputs) logits or values, (N, length, vocabulary) for a language model

        Raises:
            InfeasibleError: the decisions do not make a network for this task.
        """

    def canonical(self, architecture: Architecture) -> Architecture:
        """One representative of all architectures that compute the same function class.

        Idempotent. Its key is the identity of the architecture in a search. It need not be a point
        of the space, nor can every family build it.
        """

    def definition(self, network: nn.Module, architecture: Architecture) -> Definition:
        """What `build` made of `architecture`, as text."""


def _check(entry: Any) -> None:
    require(entry, "Settings", "tasks", "pretrainable", "recipe_when")
    require(entry, "decisions", "build", "canonical", "definition")
    if not (isinstance(entry.Settings, type) and issubclass(entry.Settings, FamilySettings)):
        raise TypeError(f"{entry!r} has Settings that are no FamilySettings")
    if unknown := sorted(set(entry.tasks) - set(TASK_NAMES)):
        known = ", ".join(TASK_NAMES)
        raise ValueError(f"{entry!r} is for {', '.join(unknown)}, known tasks are {known}")


families: Registry[Family] = Registry(
    "family",
    "models.families",
    plugins="nasmith.families",
    check=_check,
    reserved={"table": "the space of a table of known results"},
)
