"""Objectives, constraints, fitness and the Pareto set. Bigger fitness is better, here alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from models.settings import Settings
from search.trial import Trial

Goal = Literal["maximize", "minimize"]

COST_METRICS = ("parameters", "flops")
"""Known before training: a constraint on these refuses a candidate without training it."""

TEST_PREFIX = "test_"
"""Of the metrics of the test split."""

MEASURED_METRICS = ("latency_ms", "train_seconds", "peak_memory_bytes")


class Objective(Settings):
    metric: str = Field(description="a metric of the task, or a cost", max_length=64)
    goal: Goal = Field(
        "maximize",
        description="maximize or minimize; default: the metric's own, so a loss and a cost are "
        "minimized",
    )

    def towards(self, own: Goal) -> Objective:
        """With the metric's `own` goal, where the request left it open."""
        if "goal" in self.model_fields_set:
            return self
        return self.model_copy(update={"goal": own})


class Constraint(Settings):
    """A hard limit: `min <= metric <= max`."""

    metric: str = Field(description="a metric of the task, or a cost", max_length=64)
    max: float | None = Field(None, description="largest value allowed")
    min: float | None = Field(None, description="smallest value allowed")

    @model_validator(mode="after")
    def _has_a_limit(self) -> Constraint:
        if self.max is None and self.min is None:
            raise ValueError("a constraint needs max, min or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min must not exceed max, got min {self.min} and max {self.max}")
        return self

    def violation(self, metrics: Mapping[str, float]) -> str | None:
        """What is wrong with these metrics; None where the limit holds or the metric is unknown."""
        value = metrics.get(self.metric)
        if value is None:
            return None
        if self.max is not None and value > self.max:
            return f"{self.metric} {value:g} is above the constraint's max {self.max:g}"
        if self.min is not None and value < self.min:
            return f"{self.metric} {value:g} is below the constraint's min {self.min:g}"
        return None

    def excess(self, metrics: Mapping[str, float]) -> float:
        """How far outside the limit, in units of the limit; 0 where it holds or is unknown."""
        value = metrics.get(self.metric)
        if value is None:
            return 0.0
        over = 0.0 if self.max is None else max(0.0, value - self.max) / (abs(self.max) or 1.0)
        under = 0.0 if self.min is None else max(0.0, self.min - value) / (abs(self.min) or 1.0)
        return over + under


def excess(metrics: Mapping[str, float], constraints: Sequence[Constraint]) -> float:
    """The summed constraint violation of Deb et al. 2002, section VI."""
    return sum(limit.excess(metrics) for limit in constraints)


def violation(metrics: Mapping[str, float], constraints: Sequence[Constraint]) -> str | None:
    """The first broken limit; None where all hold or their metrics are unknown."""
    return next((why for limit in constraints if (why := limit.violation(metrics))), None)


def fitness(
    metrics: Mapping[str, float],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> tuple[float, ...] | None:
    """One value an objective, bigger is better.

    None where a metric is missing or not finite, or where a constraint does not hold: such a
    trial is no candidate for the best, and no parent for a strategy.
    """
    values = [metrics.get(objective.metric, math.nan) for objective in objectives]
    if not all(math.isfinite(value) for value in values):
        return None
    if any(limit.metric not in metrics or limit.violation(metrics) for limit in constraints):
        return None
    return tuple(
        value if objective.goal == "maximize" else -value
        for value, objective in zip(values, objectives, strict=True)
    )


def dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    """No worse in every objective and better in one."""
    pairs = list(zip(first, second, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


class Incumbents:
    """The best trials so far, kept up to date trial by trial, whatever their order.

    One objective: the `top` distinct architectures by fitness, each in its best trial. Several:
    the Pareto set, of which `best` names the `top` by the first objective, the next, and so on.
    Of equal fitness the smaller validation loss comes first with `by_loss`; what is equal still
    goes to the earlier trial, so that the answer does not depend on timing.
    """

    def __init__(self, objectives: int, top: int, *, by_loss: bool = False) -> None:
        self._many, self._top, self._by_loss = objectives > 1, top, by_loss
        self._trials: dict[tuple[str, str], Trial] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trial: Trial) -> None:
        """Consider an ended trial; one without fitness changes nothing."""
        if trial.fitness is None:
            return
        key = (trial.architecture_key, trial.recipe_key if self._many else "")
        rival = self._trials.get(key)
        if rival is not None and self._rank(rival) <= self._rank(trial):
            return
        if not self._many:
            self._trials[key] = trial
            if len(self._trials) > self._top:
                del self._trials[max(self._trials, key=lambda key: self._rank(self._trials[key]))]
        elif not any(dominates(other.fitness or (), trial.fitness) for other in self):
            beaten = [
                key
                for key, other in self._trials.items()
                if dominates(trial.fitness, other.fitness or ())
            ]
            for loser in beaten:
                del self._trials[loser]
            self._trials[key] = trial

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials.values())

    def best(self) -> list[Trial]:
        """At most `top` trials, best first."""
        return sorted(self, key=self._rank)[: self._top]

    def _rank(self, trial: Trial) -> tuple[tuple[float, ...], float, int]:
        """Smaller is better: by fitness, then by loss, then by number."""
        loss = trial.metrics.get("val_loss", math.inf) if self._by_loss else 0.0
        return tuple(-value for value in trial.fitness or ()), loss, trial.number


def best_trials(trials: Iterable[Trial], top: int, *, by_loss: bool = False) -> list[Trial]:
    """The `top` of `trials`, best first, as `Incumbents` has them."""
    incumbents: Incumbents | None = None
    for trial in trials:
        if trial.fitness is not None:
            incumbents = incumbents or Incumbents(len(trial.fitness), top, by_loss=by_loss)
            incumbents.add(trial)
    return incumbents.best() if incumbents else []
