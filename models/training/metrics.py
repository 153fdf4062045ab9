"""What a task's network is trained to minimise and scored by, one entry a task.

Another kind of score is another file of this package that registers it for its tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from models.registry import Registry

Goal = Literal["maximize", "minimize"]


class Score(Protocol):
    """Sums over batches, so that a result does not depend on how a split is cut."""

    goals: ClassVar[dict[str, Goal]]
    """Each metric, without the prefix `val_` or `test_`; the first is the default objective."""

    ignores: ClassVar[frozenset[str]] = frozenset()
    """Fields of the recipe that change nothing for this task."""

    def __init__(self, outputs: int, device: torch.device) -> None: ...

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, a scalar with gradient."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch. Does not wait for the device."""

    def compute(self) -> dict[str, float]:
        """The metrics of everything added, those of `goals` but what is not defined on it."""

    @property
    def chosen(self) -> Mapping[str, float]:
        """What was chosen by the samples that were added, so that their metrics are best."""


scores: Registry[type[Score]] = Registry("task", "models.training")


def metric_names(task_name: str) -> tuple[str, ...]:
    """The metrics of a task without prefix: `accuracy` is reported as `val_accuracy`.

    Raises:
        models.registry.UnknownNameError: no such task can be trained.
    """
    return tuple(scores[task_name].goals)


def goal_of(task_name: str, metric: str) -> Goal | None:
    """Which way a metric of validation is better, by its whole name; None for other metrics.

    Raises:
        models.registry.UnknownNameError: no such task can be trained.
    """
    prefix, _, name = metric.partition("_")
    return scores[task_name].goals.get(name) if prefix == "val" else None


def default_metric(task_name: str) -> tuple[str, Goal]:
    """The metric, without prefix, that a search of this task optimises by default, and its goal.

    Raises:
        models.registry.UnknownNameError: no such task can be trained.
    """
    return next(iter(scores[task_name].goals.items()))
