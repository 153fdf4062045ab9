"""Transformers over patches of each series by itself, whose forecasts do not see one another.

Nie et al., PatchTST, ICLR 2023, https://arxiv.org/abs/2211.14730, section 3.1: patches overlap by
half, and the last value is repeated so that they reach the end. Layers are normalised before each
part of a block, where theirs normalise batches after it; the window is normalised without a learned
scale and shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.decisions import (
    canonical_with_view,
    domain_values,
    integer,
    share,
    window_decisions,
    window_view,
)
from models.domains import Choice, Range, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.attention import Attention, Block, LearnedPositions
from models.operations.window_view import WindowView
from models.recipe import Recipe
from models.repeated import repeated
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text

MAX_PATCH, MAX_LAYERS, MAX_WIDTH, MAX_HEADS = 1024, 32, 4096, 128


class PatchTstSettings(FamilySettings):
    """Blocks of attention over the patches of a window; all series have the same weights."""

    patch: Searchable[Annotated[int, Field(ge=2, le=MAX_PATCH)]] = Field(
        Choice((4, 8, 16)), description="steps of a patch, half of which the next one has too"
    )
    layers: Searchable[Annotated[int, Field(ge=1, le=MAX_LAYERS)]] = Field(
        Range(1, 3), description="blocks"
    )
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((16, 32, 64)), description="values of a patch"
    )
    heads: Searchable[Annotated[int, Field(ge=1, le=MAX_HEADS)]] = Field(
        Choice((2, 4)), description="of attention; they divide the width"
    )
    feed_forward: Searchable[Annotated[int, Field(ge=1, le=16)]] = Field(
        Choice((2, 4)), description="inner width of the feed-forward part over the width"
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.2)), description="of positions and of what a block adds"
    )
    relative: Searchable[bool] = Field(
        Choice((True, False)),
        description="whether a forecast is one of differences to the last step of the window",
    )
    window_scaling: Searchable[Literal["none", "mean", "last"]] = Field(
        Choice(("none", "mean")),
        description="whether the window is scaled by itself: less its mean or its last step, over "
        "its deviation, which is undone on the forecast",
    )


class SeriesPatches(nn.Module):
    """The patches of each series, from the first step on, each as a linear map of it.

    Shapes:
        (N, steps, series) -> (N * series, (steps - size) // stride + 2, width)
    """

    def __init__(self, size: int, stride: int, width: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.linear = nn.Linear(size, width)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2).reshape(-1, x.shape[1])
        rows = torch.cat([rows, rows[:, -1:].expand(-1, self.stride)], dim=1)
        patches: Tensor = self.linear(rows.unfold(1, self.size, self.stride))
        return patches


@dataclass(frozen=True, slots=True)
class Plan:
    """What the decisions say; `view` is how a forecast sees its window, None: as it is."""

    patch: int
    layers: int
    width: int
    heads: int
    inner: int
    dropout: float
    view: WindowView | None

    @property
    def stride(self) -> int:
        return (self.patch + 1) // 2

    def patches(self, steps: int) -> int:
        """Of a window of so many steps; the paper's N, with its padding."""
        return (steps - self.patch) // self.stride + 2


class Network(nn.Module):
    """Patches, positions, blocks, a linear map of all patches of a series, and one of the columns
    known in advance.

    Shapes:
        (N, T, channels) -> (N, task.outputs)
    """

    def __init__(self, plan: Plan, task: Task, output_dropout: float) -> None:
        super().__init__()
        assert task.targets is not None  # noqa: S101 - `_check_task` has looked
        self.plan, self.task, self.view = plan, task, plan.view
        self.targets, self.known = list(task.targets), list(task.known or ())
        steps, width = task.input_shape[0], plan.width
        self.patches = SeriesPatches(plan.patch, plan.stride, width)
        self.positions = LearnedPositions(plan.patches(steps), width)
        self.embedding_dropout = nn.Dropout(plan.dropout)
        self.blocks = nn.Sequential(
            *(repeated((Block, width), self._block) for _ in range(plan.layers))
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(plan.patches(steps) * width, self.horizon)
        if self.known:
            self.of_known = nn.Linear(self.ahead * len(self.known), task.outputs, bias=False)

    def _block(self) -> Block:
        plan = self.plan
        return Block(
            Attention(plan.width, plan.heads), plan.width, plan.inner, dropout=plan.dropout
        )

    @property
    def horizon(self) -> int:
        return self.task.outputs // len(self.targets)

    @property
    def ahead(self) -> int:
        """The last rows of a window tell of the steps to forecast, as far as they go."""
        return min(self.horizon, self.task.input_shape[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x) if self.view is None else self.view(x, self.outputs)

    def outputs(self, x: Tensor) -> Tensor:
        patches = self.embedding_dropout(self.positions(self.patches(x[:, :, self.targets])))
        seen = self.norm(self.blocks(patches)).flatten(1)
        of_series = self.output(self.dropout(seen)).unflatten(0, (-1, len(self.targets)))
        found: Tensor = of_series.transpose(1, 2).flatten(1)
        if self.known:
            found = found + self.of_known(x[:, -self.ahead :, self.known].flatten(1))
        return found


@families.register("patchtst")
class PatchTst:
    """Decisions: `patch`, of those that a window has room for, `layers`, `width`, `heads`,
    `feed_forward`, `dropout`, and `window_scaling` and `relative` as in `rnn`.
    """

    Settings = PatchTstSettings
    tasks = frozenset({"forecasting"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, PatchTstSettings):
            raise TypeError(f"patchtst needs PatchTstSettings, got {type(settings).__name__}")
        _check_task(task)
        steps = task.input_shape[0]
        patches = tuple(size for size in domain_values(settings.patch) if size <= steps)
        if not patches:
            raise _no_patch(min(domain_values(settings.patch)), task)
        names = ("layers", "width", "heads", "feed_forward", "dropout")
        return [
            Decision("patch", Choice(patches)),
            *(Decision(name, as_domain(getattr(settings, name))) for name in names),
            *window_decisions(settings.window_scaling, settings.relative, task),
        ]

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        return Network(_plan(architecture, task), task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """Without what says nothing of the view; a dropout of 0 is the number 0.0."""
        return Architecture("patchtst", canonical_with_view(architecture.decisions))

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(
                f"expected a network of the family patchtst, got {type(network).__name__}"
            )
        return Definition((SeriesPatches, LearnedPositions, Attention, Block), _text(network))


def _plan(architecture: Architecture, task: Task) -> Plan:
    values = architecture.decisions
    patch, width, heads = (integer(values, name) for name in ("patch", "width", "heads"))
    if not 2 <= patch <= task.input_shape[0]:
        raise _no_patch(patch, task)
    if width % heads:
        raise InfeasibleError(
            "heads", f"the heads divide the width, got {heads} heads and width {width}"
        )
    return Plan(
        patch,
        integer(values, "layers"),
        width,
        heads,
        width * integer(values, "feed_forward"),
        share(values, "dropout"),
        window_view(values, task),
    )


def _text(network: Network) -> str:
    plan, task, outputs = network.plan, network.task, network.task.outputs
    steps, channels = task.input_shape
    count, width = plan.patches(steps), plan.width
    arguments: list[str | Call] = [f"Attention({width}, {plan.heads})", str(width), str(plan.inner)]
    if plan.dropout:
        arguments.append(f"dropout={plan.dropout}")
    blocks = Call("nn.Sequential", [Call("Block", arguments)] * plan.layers)
    constructor = [
        f"self.patches = SeriesPatches({plan.patch}, {plan.stride}, {width})",
        f"self.positions = LearnedPositions({count}, {width})",
        *call_lines("self.blocks = ", blocks),
        f"self.norm = nn.LayerNorm({width})",
        f"self.output = nn.Linear({count * width}, {network.horizon})",
    ]
    before, after = ([], "") if network.view is None else network.view.lines(outputs)
    patches = f"self.positions(self.patches(x[:, :, {network.targets}]))"
    if plan.dropout:
        constructor.insert(2, f"self.embedding_dropout = nn.Dropout({plan.dropout})")
        patches = f"self.embedding_dropout({patches})"
    seen = "self.norm(self.blocks(patches)).flatten(1)"
    if network.dropout.p:
        constructor.append(f"self.dropout = nn.Dropout({network.dropout.p})")
        seen = f"self.dropout({seen})"
    found = "of_series.transpose(1, 2).flatten(1)"
    forward = [
        *before,
        f"patches = {patches}",
        f"seen = {seen}",
        f"of_series = self.output(seen).unflatten(0, (-1, {len(network.targets)}))",
    ]
    if network.known:
        inputs = network.ahead * len(network.known)
        constructor.append(f"self.of_known = nn.Linear({inputs}, {outputs}, bias=False)")
        forward.append(f"known = x[:, -{network.ahead} :, {network.known}].flatten(1)")
        found += " + self.of_known(known)"
    if network.view is not None:
        forward.append(f"outputs = {found}")
        found = "outputs"
    return module_text(
        "Network",
        [f"(N, {steps}, {channels}) -> (N, {outputs})."],
        [],
        constructor,
        ["x"],
        [*forward, f"return {found}{after}"],
    )


def _no_patch(size: int, task: Task) -> InfeasibleError:
    return InfeasibleError(
        "patch",
        f"a patch has 2 steps at least and no more than the window, which has "
        f"{task.input_shape[0]}, got {size}",
    )


def _check_task(task: Task) -> None:
    if task.name not in PatchTst.tasks or len(task.input_shape) != 2 or task.targets is None:
        raise InfeasibleError(
            "family",
            "patchtst needs a forecasting of columns of its input, (steps, channels), "
            f"got {task.name} with {task.input_shape}"
            f"{'' if task.targets else ' without targets'}",
        )
