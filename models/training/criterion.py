"""What a recipe minimises on a dataset, and what it is scored by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from models.datasets import Dataset
from models.recipe import CLASS_TASKS, RECORDED, VALUE_TASKS, Recipe, of_tasks, refused_fields
from models.task import MULTILABEL
from models.training.class_weights import (
    balanced,
    balanced_labels,
    weighted_binary_cross_entropy,
    weighted_cross_entropy,
)
from models.training.classification import ClassificationScore
from models.training.confusion import DECISION_METRICS
from models.training.losses import ValueLoss, value_loss
from models.training.metrics import Score, scores
from models.training.multilabel import MultilabelScore
from models.training.regression import RegressionScore
from models.training.thresholds import log_shares
from models.training.values import ErrorUnit, Values

Scoring = Callable[[torch.device], Score]
"""A fresh score, whose sums are on the device."""


def criterion(dataset: Dataset, recipe: Recipe, trained: Tensor) -> ValueLoss:
    """The mean loss of outputs and of targets as `models.training.values` encodes them.

    trained: the targets of all samples that are trained on, whose classes may be weighted.

    Raises:
        ValueError: a field of the recipe is for other tasks.
    """
    task, counting = dataset.task, recipe.canonical()
    for field in sorted(refused_fields(task)):
        value = getattr(counting, field)
        if value != RECORDED[field]:
            allowed = ", ".join(of_tasks()[field].tasks)
            raise ValueError(f"{field} {value!r} is for {allowed}, the task is {task.shown}")
    if task.name in VALUE_TASKS:
        return value_loss(recipe)
    if recipe.class_weight == "balanced":
        smoothing = recipe.label_smoothing
        if task.name == MULTILABEL:
            of_labels = balanced_labels(trained)
            return partial(
                weighted_binary_cross_entropy, weights=of_labels, label_smoothing=smoothing
            )
        weights = balanced(trained, task.outputs)
        return partial(weighted_cross_entropy, weights=weights, label_smoothing=smoothing)
    return partial(scores[task.name].loss, label_smoothing=recipe.label_smoothing)


def scoring(
    dataset: Dataset,
    recipe: Recipe,
    error_unit: ErrorUnit = "own_unit",
    best_for: str | None = None,
) -> Scoring:
    """How what a network says is scored that was trained by the recipe.

    best_for: a metric, without prefix, for which it is chosen on what is scored how classes or
        labels are decided for; nothing is chosen for metrics that do not depend on it.
    """
    task = dataset.task
    if task.name in VALUE_TASKS:
        values, loss = Values.of(dataset, recipe, error_unit), value_loss(recipe)
        return lambda device: RegressionScore(task.outputs, device, values, loss)
    if task.name in CLASS_TASKS and best_for in DECISION_METRICS:
        if task.outputs == 2:
            return partial(ClassificationScore, 2, best_for=best_for)
        if recipe.class_weight == "none":  # weights have done the same to the outputs already
            shares = log_shares(dataset.train.y, task.outputs)
            return partial(ClassificationScore, task.outputs, best_for=best_for, log_shares=shares)
    if task.name == MULTILABEL and best_for == "f1":
        return partial(MultilabelScore, task.outputs, is_decided_here=True)
    return partial(scores[task.name], task.outputs)
