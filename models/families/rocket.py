"""Random convolutions over a sequence that are never trained, and a linear map of what they find.

Dempster et al., ROCKET, Data Mining and Knowledge Discovery 2020,
https://arxiv.org/abs/1910.13051. All kernels of a network have one length; as many have each
dilation, and all are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import integer
from models.domains import Choice, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text, output_lines

MAX_KERNELS = 20_000
LENGTHS = (7, 9, 11)


class RocketSettings(FamilySettings):
    """Only the linear map is trained."""

    kernels: Searchable[Annotated[int, Field(ge=1, le=MAX_KERNELS)]] = Field(
        Choice((128, 512, 1024)), description="how many; the paper has 10,000"
    )
    length: Searchable[Literal[7, 9, 11]] = Field(
        Choice(LENGTHS), description="steps that a kernel looks at, a dilation apart"
    )


class RandomKernels(nn.Module):
    """The largest value of each kernel over a sequence, and the share of steps where it is
    positive. Weights are normal and of mean 0, biases uniform in -1..1; both are drawn once.

    Shapes:
        (N, steps, channels) -> (N, 2 * kernels)
    """

    def __init__(self, channels: int, length: int, kernels: dict[int, int]) -> None:
        """kernels: how many there are of each dilation."""
        super().__init__()
        self.length, self.dilations = length, list(kernels)
        for dilation, count in kernels.items():
            weight = torch.randn(count, channels, length)
            weight = weight - weight.mean(dim=2, keepdim=True)
            self.register_buffer(f"weight_{dilation}", weight)
            self.register_buffer(f"bias_{dilation}", 2 * torch.rand(count) - 1)

    def forward(self, x: Tensor) -> Tensor:
        (_, steps, _), found = x.shape, []
        for dilation in self.dilations:
            weight = self.get_buffer(f"weight_{dilation}")
            bias = self.get_buffer(f"bias_{dilation}")
            around = dilation * (self.length // 2)
            padded = functional.pad(x.transpose(1, 2), (around, around))
            starts = range(0, self.length * dilation, dilation)
            windows = torch.stack([padded[:, :, i : i + steps] for i in starts], dim=2)
            values = weight.flatten(1) @ windows.flatten(1, 2) + bias[:, None]
            found += [values.amax(dim=2), (values > 0).to(values.dtype).mean(dim=2)]
        return torch.cat(found, dim=1)


class Network(nn.Module):
    """A linear map of the normalised features.

    Shapes:
        (N, steps, channels) -> (N, task.outputs)
    """

    def __init__(
        self,
        kernels: RandomKernels,
        counts: dict[int, int],
        task: Task,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        """counts: kernels of each dilation."""
        super().__init__()
        self.task, self.kernels, self.counts = task, kernels, counts
        features = 2 * sum(counts.values())
        self.norm = nn.BatchNorm1d(features, affine=False) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(features, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.dropout(self.norm(self.kernels(x))))
        return outputs


@families.register("rocket")
class Rocket:
    """Decisions: `kernels` and `length`."""

    Settings = RocketSettings
    tasks = frozenset({"sequence_classification"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, RocketSettings):
            raise TypeError(f"rocket needs RocketSettings, got {type(settings).__name__}")
        _check_task(task)
        return [
            Decision(name, as_domain(getattr(settings, name))) for name in ("kernels", "length")
        ]

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values, (steps, channels) = architecture.decisions, task.input_shape
        length = integer(values, "length")
        if length not in LENGTHS:
            raise InfeasibleError("length", f"length must be one of {LENGTHS}, got {length}")
        counts = of_dilations(integer(values, "kernels"), length, steps)
        kernels = RandomKernels(channels, length, counts)
        return Network(kernels, counts, task, recipe.batch_norm, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The architecture itself."""
        return architecture

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(
                f"expected a network of the family rocket, got {type(network).__name__}"
            )
        return Definition((RandomKernels,), _text(network))


def of_dilations(kernels: int, length: int, steps: int) -> dict[int, int]:
    """How many kernels each dilation has: powers of 2 from 1 on, as long as the kernel is no longer
    than the sequence; the first ones have one more where it does not come out even.
    """
    dilations = [1]
    while len(dilations) < kernels and (length - 1) * 2 * dilations[-1] < steps:
        dilations.append(2 * dilations[-1])
    each, more = divmod(kernels, len(dilations))
    return {dilation: each + (place < more) for place, dilation in enumerate(dilations)}


def _text(network: Network) -> str:
    output, (steps, channels) = network.output, network.task.input_shape
    counts = ", ".join(f"{dilation}: {count}" for dilation, count in network.counts.items())
    call = Call("RandomKernels", [str(channels), str(network.kernels.length), f"{{{counts}}}"])
    constructor, features = call_lines("self.kernels = ", call), "self.kernels(x)"
    if isinstance(network.norm, nn.BatchNorm1d):
        constructor.append(f"self.norm = nn.BatchNorm1d({output.in_features}, affine=False)")
        features = f"self.norm({features})"
    made, returned = output_lines(
        features, network.dropout.p, output.in_features, output.out_features
    )
    return module_text(
        "Network",
        [f"(N, {steps}, {channels}) -> (N, {output.out_features})."],
        [],
        [*constructor, *made],
        ["x"],
        [f"return {returned}"],
    )


def _check_task(task: Task) -> None:
    if task.name not in Rocket.tasks or len(task.input_shape) != 2:
        raise InfeasibleError(
            "family",
            "rocket needs a sequence_classification with an input of (steps, channels), "
            f"got {task.name} with {task.input_shape}",
        )
