"""Small search spaces and what runs on them, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from models.architecture import Architecture, Decision
from models.domains import Choice, Scalar
from models.family import Definition, Family, FamilySettings
from models.recipe import Recipe, TrainingSettings
from models.task import Task
from search.evaluation import Measurement
from search.objectives import Objective
from search.space import SearchSpace
from search.spec import Budget, Final, SearchSpec
from search.trial import Trial

TASK = Task("image_classification", (1, 8, 8), 10)


class Listed(Family):
    """A family that is a list of decisions. `symmetric`: the order of its values means nothing."""

    Settings = FamilySettings
    tasks = frozenset({TASK.name})
    pretrainable = False

    def __init__(self, decisions: Sequence[Decision], symmetric: bool = False) -> None:
        self._decisions, self._symmetric = decisions, symmetric

    def decisions(self, settings: FamilySettings, task: Task) -> Sequence[Decision]:
        return self._decisions

    def canonical(self, architecture: Architecture) -> Architecture:
        if not self._symmetric:
            return architecture
        values = sorted(str(value) for value in architecture.decisions.values())
        return Architecture("listed", dict(zip(architecture.decisions, values, strict=True)))

    def build(self, architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def definition(self, network: nn.Module, architecture: Architecture) -> Definition:
        return Definition((), "")


def space_of(*decisions: Decision, symmetric: bool = False, **training: Any) -> SearchSpace:
    recipe = TrainingSettings.model_validate(training)
    family = Listed(decisions, symmetric)
    return SearchSpace.of_family("listed", family, FamilySettings(), recipe, TASK)


def letters(count: int, options: Sequence[Scalar] = "abc", symmetric: bool = False) -> SearchSpace:
    """`count` independent choices among `options`."""
    choice = Choice(tuple(options))
    return space_of(*(Decision(f"d{i}", choice) for i in range(count)), symmetric=symmetric)


def spec_of(trials: int = 10, **fields: Any) -> SearchSpec:
    """A resolved spec; what it says of family and dataset is not looked at."""
    values: dict[str, Any] = {
        "objectives": (Objective(metric="val_accuracy"),),
        "budget": Budget(trials=trials),
        "final": Final(top=1, seeds=2, epochs=5),
        **fields,
    }
    return SearchSpec.model_validate(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell"},
            "strategy": {"name": "random"},
            **values,
        }
    )


def share_of_a(trial: Trial) -> float:
    """A score with one best architecture, all of whose letters are `a`."""
    values = list(trial.candidate.architecture.decisions.values())
    return values.count("a") / len(values)


class Scored:
    """An evaluator with a score in closed form; final trials score the test split as well."""

    def __init__(self, score: Callable[[Trial], float] = share_of_a, epochs: int = 2) -> None:
        self._score, self._epochs = score, epochs
        self.seen: list[Trial] = []

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        self.seen.append(trial)
        for epoch in range(1, self._epochs + 1):
            metrics = {"epoch": float(epoch), "val_accuracy": self._score(trial)}
            if trial.kind.sees_test and epoch == self._epochs:
                metrics["test_accuracy"] = self._score(trial) - 0.01
            yield Measurement(metrics)
