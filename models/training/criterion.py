"""What a recipe minimises on a dataset, and what it is scored by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from models.datasets import Dataset
from models.recipe import CLASS_TASKS, RECORDED, VALUE_TASKS, Recipe, of_tasks
from models.training.class_weights import balanced, weighted_cross_entropy
from models.training.classification import ClassificationScore
from models.training.confusion import DECISION_METRICS
from models.training.losses import ValueLoss, value_loss
from models.training.metrics import Score, scores
from models.training.regression import RegressionScore
from models.training.values import ErrorUnit, Values

Scoring = Callable[[torch.device], Score]
"""A fresh score, whose sums are on the device."""


def criterion(dataset: Dataset, recipe: Recipe, trained: Tensor) -> ValueLoss:
    """The mean loss of outputs and of targets as `models.training.values` encodes them.

    trained: the targets of all samples that are trained on, whose classes may be weighted.

    Raises:
        ValueError: a field of the recipe is for other tasks.
    """
    name = dataset.task.name
    counting = recipe.canonical()
    for field, tasks in of_tasks().items():
        value = getattr(counting, field)
        if name not in tasks and value != RECORDED[field]:
            raise ValueError(f"{field} {value!r} is for {', '.join(tasks)}, the task is {name}")
    if name in VALUE_TASKS:
        return value_loss(recipe)
    if recipe.class_weight == "balanced":
        weights = balanced(trained, dataset.task.outputs)
        return partial(
            weighted_cross_entropy, weights=weights, label_smoothing=recipe.label_smoothing
        )
    return partial(scores[name].loss, label_smoothing=recipe.label_smoothing)


def scoring(
    dataset: Dataset,
    recipe: Recipe,
    error_unit: ErrorUnit = "own_unit",
    best_for: str | None = None,
) -> Scoring:
    """How what a network says is scored that was trained by the recipe.

    best_for: a metric, without prefix, for which the threshold between two classes is chosen on
        what is scored; nothing is chosen for other metrics, and between more classes.
    """
    task = dataset.task
    if task.name in VALUE_TASKS:
        values, loss = Values.of(dataset, recipe, error_unit), value_loss(recipe)
        return lambda device: RegressionScore(task.outputs, device, values, loss)
    if task.name in CLASS_TASKS and task.outputs == 2 and best_for in DECISION_METRICS:
        return partial(ClassificationScore, task.outputs, best_for=best_for)
    return partial(scores[task.name], task.outputs)
