"""Temporal convolutional networks: residual blocks of dilated convolutions that look back alone.

Bai, Kolter and Koltun 2018, https://arxiv.org/abs/1803.01271, section 3; a batch is normalised
where they normalise weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import (
    canonical_with_view,
    integer,
    option,
    share,
    window_decisions,
    window_view,
)
from models.domains import Choice, Range, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.window_view import WindowView
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text, output_lines

MAX_LEVELS, MAX_WIDTH, MAX_KERNEL = 12, 4096, 31
NORMS, READOUTS = ("none", "batch"), ("last", "mean")


class TcnSettings(FamilySettings):
    """Level by level the steps that a convolution looks at lie twice as far apart."""

    levels: Searchable[Annotated[int, Field(ge=1, le=MAX_LEVELS)]] = Field(
        Range(1, 5),
        description="residual blocks of two convolutions; default: up to as many as see all of a "
        "sample with three steps a convolution",
    )
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((16, 32, 64)), description="channels of a block"
    )
    kernel: Searchable[Annotated[int, Field(ge=2, le=MAX_KERNEL)]] = Field(
        Choice((3, 5, 7)), description="steps that a convolution looks at, a dilation apart"
    )
    norm: Searchable[Literal["none", "batch"]] = Field(
        Choice(NORMS),
        description="normalisation after every convolution; batch: where the recipe has batch_norm",
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.1, 0.3)), description="after every activation"
    )
    readout: Searchable[Literal["last", "mean"]] = Field(
        Choice(READOUTS), description="what a sequence is classified by: its last step, or the mean"
    )
    relative: Searchable[bool] = Field(
        Choice((True, False)),
        description="whether a forecast is one of differences to the last step of the window",
    )
    window_scaling: Searchable[Literal["none", "mean", "last"]] = Field(
        "none",
        description="whether the window of a forecast is scaled by itself: less its mean or its "
        "last step, over its deviation, which is undone on the forecast",
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        """Without levels that would see nothing but what stands before a sample."""
        if "levels" in self.model_fields_set:
            return self
        levels = 1
        while receptive_field(levels, 3) < task.input_shape[0] and levels < MAX_LEVELS:
            levels += 1
        return self.model_copy(update={"levels": Range(1, max(levels, 2))})


def receptive_field(levels: int, kernel: int) -> int:
    """Steps that the last one depends on: two convolutions a level, dilated by 1, 2, 4, ..."""
    return 1 + 2 * (kernel - 1) * ((1 << levels) - 1)


class CausalBlock(nn.Module):
    """Twice a convolution over a step and those before it, normalisation, ReLU, dropout; the input
    is added, mapped where it has other channels, and a ReLU follows.

    Shapes:
        (N, inputs, steps) -> (N, width, steps)
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        dilation: int,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.convolution_1 = nn.Conv1d(inputs, width, kernel, dilation=dilation)
        self.convolution_2 = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.norm_1 = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.norm_2 = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.shortcut = nn.Identity() if inputs == width else nn.Conv1d(inputs, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.convolution_1(functional.pad(x, (self.before, 0)))
        hidden = self.dropout(functional.relu(self.norm_1(hidden)))
        hidden = self.convolution_2(functional.pad(hidden, (self.before, 0)))
        hidden = self.dropout(functional.relu(self.norm_2(hidden)))
        return functional.relu(hidden + self.shortcut(x))


class Network(nn.Module):
    """Blocks, and a linear map of the last step or of the mean of all. `view` is how a forecast
    sees its window, None: as it is.

    Shapes:
        (N, steps, channels) -> (N, task.outputs)
    """

    def __init__(
        self,
        blocks: Sequence[CausalBlock],
        readout: str,
        view: WindowView | None,
        task: Task,
        dropout: float,
    ) -> None:
        super().__init__()
        self.task, self.readout, self.view = task, readout, view
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(blocks[-1].convolution_2.out_channels, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x) if self.view is None else self.view(x, self.outputs)

    def outputs(self, x: Tensor) -> Tensor:
        states = self.blocks(x.transpose(1, 2))
        read = states.mean(dim=2) if self.readout == "mean" else states[:, :, -1]
        outputs: Tensor = self.output(self.dropout(read))
        return outputs


@families.register("tcn")
class Tcn:
    """Decisions: `levels`, `width`, `kernel`, `norm` and `dropout`; `readout` of sequences; of a
    forecast whose targets are known `window_scaling`, where it is not left at none, and `relative`
    of a window that is not scaled.
    """

    Settings = TcnSettings
    tasks = frozenset({"forecasting", "sequence_classification"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": (("norm", ("batch",)),)}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, TcnSettings):
            raise TypeError(f"tcn needs TcnSettings, got {type(settings).__name__}")
        _check_task(task)
        names = ["levels", "width", "kernel", "norm", "dropout"]
        if task.name == "sequence_classification":
            names.append("readout")
        decisions = [Decision(name, as_domain(getattr(settings, name))) for name in names]
        return decisions + window_decisions(settings.window_scaling, settings.relative, task)

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        width, kernel = integer(values, "width"), integer(values, "kernel", low=2)
        batch_norm = option(values, "norm", NORMS) == "batch" and recipe.batch_norm
        blocks, inputs = [], task.input_shape[1]
        for level in range(integer(values, "levels")):
            dropout = share(values, "dropout")
            blocks.append(CausalBlock(inputs, width, kernel, 2**level, batch_norm, dropout))
            inputs = width
        readout = "last"
        if task.name == "sequence_classification":
            readout = option(values, "readout", READOUTS)
        return Network(blocks, readout, window_view(values, task), task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """Without what says nothing of the view; a dropout of 0 is the number 0.0."""
        return Architecture("tcn", canonical_with_view(architecture.decisions))

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family tcn, got {type(network).__name__}")
        return Definition((CausalBlock,), _text(network))


def _text(network: Network) -> str:
    (steps, channels), output = network.task.input_shape, network.output
    before, after = ([], "") if network.view is None else network.view.lines(output.out_features)
    blocks = Call("nn.Sequential", [_block(block) for block in network.blocks])
    read = "states.mean(dim=2)" if network.readout == "mean" else "states[:, :, -1]"
    made, returned = output_lines(read, network.dropout.p, output.in_features, output.out_features)
    return module_text(
        "Network",
        [f"(N, {steps}, {channels}) -> (N, {output.out_features})."],
        [],
        [*call_lines("self.blocks = ", blocks), *made],
        ["x"],
        [*before, "states = self.blocks(x.transpose(1, 2))", f"return {returned}{after}"],
    )


def _block(block: nn.Module) -> Call:
    assert isinstance(block, CausalBlock)  # noqa: S101 - for the type checker
    first = block.convolution_1
    sizes = (first.in_channels, first.out_channels, *first.kernel_size, *first.dilation)
    arguments: list[str | Call] = [str(size) for size in sizes]
    if isinstance(block.norm_1, nn.BatchNorm1d):
        arguments.append("batch_norm=True")
    if block.dropout.p:
        arguments.append(f"dropout={block.dropout.p}")
    return Call("CausalBlock", arguments)


def _check_task(task: Task) -> None:
    if task.name not in Tcn.tasks or len(task.input_shape) != 2:
        raise InfeasibleError(
            "family",
            f"tcn needs one of the tasks {', '.join(sorted(Tcn.tasks))} with an input of "
            f"(steps, channels), got {task.name} with {task.input_shape}",
        )
