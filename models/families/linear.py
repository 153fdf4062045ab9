"""Linear maps of a window, as forecasts: of each series by itself, or of all that is seen.

Zeng et al., AAAI 2023, https://arxiv.org/abs/2205.13504: Linear; DLinear with `trend`; NLinear with
`relative`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import (
    canonical_view,
    condition,
    flag,
    integer,
    option,
    window_decisions,
    window_view,
)
from models.domains import Choice, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.window_view import WindowView
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import module_text

INPUTS = ("own", "all")
MAX_TREND = 1000


class LinearSettings(FamilySettings):
    """One linear map from the window to the forecast; its columns known in advance add another."""

    inputs: Searchable[Literal["own", "all"]] = Field(
        Choice(INPUTS), description="of a forecast: the window of its own series, or of all columns"
    )
    shared: Searchable[bool] = Field(
        Choice((True, False)), description="whether one map serves all series that are forecast"
    )
    trend: Searchable[Annotated[int, Field(ge=0, le=MAX_TREND)]] = Field(
        Choice((0, 25)),
        description="steps of a moving average, which has a map of its own; 0: one map",
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


def smoothed(x: Tensor, steps: int) -> Tensor:
    """The mean around each step, the ends repeated, as DLinear has it.

    Shapes:
        (N, T, channels) -> the same
    """
    before = (steps - 1) // 2
    padded = functional.pad(x.transpose(1, 2), (before, steps - 1 - before), mode="replicate")
    return functional.avg_pool1d(padded, steps, stride=1).transpose(1, 2)


class SeriesMap(nn.Module):
    """The window of each series, by itself, to its forecast; the series of a step together.

    Shapes:
        (N, steps, series) -> (N, horizon * series)
    """

    def __init__(self, steps: int, horizon: int, series: int = 1) -> None:
        """series: how many have a map of their own; 1: one map for all."""
        super().__init__()
        self.horizon = horizon
        self.maps = nn.Conv1d(series, series * horizon, steps, groups=series)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2)
        if self.maps.groups == 1:
            rows = rows.reshape(-1, 1, x.shape[1])
        outputs: Tensor = self.maps(rows)
        return outputs.reshape(x.shape[0], x.shape[2], self.horizon).transpose(1, 2).flatten(1)


class Network(nn.Module):
    """A linear map of the window of each series, or of the whole window, and one of the columns
    known in advance.

    Shapes:
        (N, T, channels) -> (N, task.outputs)
    """

    def __init__(
        self,
        inputs: str,
        shared: bool,
        trend: int,
        view: WindowView | None,
        task: Task,
        dropout: float,
    ) -> None:
        super().__init__()
        self.shared, self.trend, self.view, self.task = shared, trend, view, task
        self.targets = list(task.targets or ()) if inputs == "own" else []
        self.known = list(task.known or ()) if inputs == "own" else []
        self.dropout = nn.Dropout(dropout)
        self.output = self._map()
        if trend:
            self.of_trend = self._map()
        if self.known:
            self.of_known = nn.Linear(self.ahead * len(self.known), task.outputs, bias=False)

    @property
    def ahead(self) -> int:
        """The last rows of a window tell of the steps to forecast, as far as they go."""
        return min(self.task.outputs // len(self.targets), self.task.input_shape[0])

    def _map(self) -> nn.Module:
        steps, channels = self.task.input_shape
        if not self.targets:
            return nn.Sequential(nn.Flatten(), nn.Linear(steps * channels, self.task.outputs))
        count = len(self.targets)
        return SeriesMap(steps, self.task.outputs // count, 1 if self.shared else count)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x) if self.view is None else self.view(x, self.outputs)

    def outputs(self, x: Tensor) -> Tensor:
        seen = self.dropout(x[:, :, self.targets] if self.targets else x)
        if self.trend:
            trend = smoothed(seen, self.trend)
            found: Tensor = self.output(seen - trend) + self.of_trend(trend)
        else:
            found = self.output(seen)
        if self.known:
            found = found + self.of_known(x[:, -self.ahead :, self.known].flatten(1))
        return found


@families.register("linear")
class Linear:
    """Decisions: `trend`; where the columns to forecast are known `inputs`, of several own ones
    `shared`, and `window_scaling` and `relative` as in `rnn`.
    """

    Settings = LinearSettings
    tasks = frozenset({"forecasting", "sequence_classification"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, LinearSettings):
            raise TypeError(f"linear needs LinearSettings, got {type(settings).__name__}")
        _check_task(task)
        decisions = [Decision("trend", as_domain(settings.trend))]
        if task.targets is not None:
            decisions.append(Decision("inputs", as_domain(settings.inputs)))
            if len(task.targets) > 1 and "own" in as_domain(settings.inputs).values():
                when = condition("inputs", settings.inputs, ["own"])
                decisions.append(Decision("shared", as_domain(settings.shared), when))
        return decisions + window_decisions(settings.window_scaling, settings.relative, task)

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        inputs = option(values, "inputs", INPUTS) if "inputs" in values else "all"
        if inputs == "own" and task.targets is None:
            raise InfeasibleError(
                "inputs",
                f"inputs are own where the targets are columns of the input, got {task.name} "
                "without targets",
            )
        several = inputs == "own" and len(task.targets or ()) > 1
        return Network(
            inputs,
            flag(values, "shared") if several else True,
            integer(values, "trend", low=0),
            window_view(values, task),
            task,
            recipe.dropout,
        )

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """Without what says nothing of the view."""
        values = architecture.decisions
        kept = {n: values[n] for n in ("trend", "inputs", "shared") if n in values}
        return Architecture("linear", kept | canonical_view(values))

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(
                f"expected a network of the family linear, got {type(network).__name__}"
            )
        used: list[type[nn.Module] | FunctionType] = [SeriesMap] if network.targets else []
        if network.trend and isinstance(smoothed, FunctionType):
            used.append(smoothed)
        return Definition(tuple(used), _text(network))


def _text(network: Network) -> str:
    task, outputs = network.task, network.task.outputs
    shape = ", ".join(map(str, task.input_shape))
    steps, channels = task.input_shape
    made = f"nn.Sequential(nn.Flatten(), nn.Linear({steps * channels}, {outputs}))"
    if network.targets:
        count = len(network.targets)
        each = [] if network.shared else [str(count)]
        made = f"SeriesMap({', '.join([str(steps), str(outputs // count), *each])})"
    constructor = [f"self.output = {made}"]
    before, after = ([], "") if network.view is None else network.view.lines(outputs)
    seen = f"x[:, :, {network.targets}]" if network.targets else "x"
    if network.dropout.p:
        constructor.insert(0, f"self.dropout = nn.Dropout({network.dropout.p})")
        seen = f"self.dropout({seen})"
    forward = [*before, f"seen = {seen}"]
    found = "self.output(seen)"
    if network.trend:
        constructor.append(f"self.of_trend = {made}")
        forward.append(f"trend = smoothed(seen, {network.trend})")
        found = "self.output(seen - trend) + self.of_trend(trend)"
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
        [f"(N, {shape}) -> (N, {outputs})."],
        [],
        constructor,
        ["x"],
        [*forward, f"return {found}{after}"],
    )


def _check_task(task: Task) -> None:
    if task.name not in Linear.tasks or len(task.input_shape) != 2:
        raise InfeasibleError(
            "family",
            f"linear needs one of the tasks {', '.join(sorted(Linear.tasks))} with an input of "
            f"(steps, channels), got {task.name} with {task.input_shape}",
        )
