"""What a recipe minimises on a dataset, and what it is scored by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from models.datasets import Dataset
from models.recipe import RECORDED, VALUE_TASKS, Recipe, of_tasks
from models.training.losses import ValueLoss, value_loss
from models.training.metrics import Score, scores
from models.training.regression import RegressionScore
from models.training.values import ErrorUnit, Values

Scoring = Callable[[torch.device], Score]
"""A fresh score, whose sums are on the device."""


def criterion(dataset: Dataset, recipe: Recipe) -> ValueLoss:
    """The mean loss of outputs and of targets as `models.training.values` encodes them.

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
    return partial(scores[name].loss, label_smoothing=recipe.label_smoothing)


def scoring(dataset: Dataset, recipe: Recipe, error_unit: ErrorUnit = "own_unit") -> Scoring:
    """How what a network says is scored that was trained by the recipe."""
    task = dataset.task
    if task.name in VALUE_TASKS:
        values, loss = Values.of(dataset, recipe, error_unit), value_loss(recipe)
        return lambda device: RegressionScore(task.outputs, device, values, loss)
    return partial(scores[task.name], task.outputs)
