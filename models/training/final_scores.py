"""What is found of a trained network before it is handed out: once, after all choices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from models.datasets import Dataset
from models.datasets.decision import probabilities
from models.recipe import CLASS_TASKS, Recipe
from models.task import MULTILABEL, Task
from models.training.calibration import TEMPERATURE, calibration_error, of_labels, temperature
from models.training.classification import ClassificationScore
from models.training.criterion import scoring
from models.training.evaluation import evaluate, outputs_of
from models.training.multilabel import MultilabelScore
from models.training.thresholds import (
    best_label_offsets,
    log_shares,
    offsets_of,
    told_offsets,
)
from models.training.values import ErrorUnit


def final_scores(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    error_unit: ErrorUnit = "own_unit",
    *,
    chosen: Mapping[str, float] = MappingProxyType({}),
    best_for: str | None = None,
    is_validated: bool,
) -> dict[str, float]:
    """The test metrics of a network on the CPU.

    Of classes and labels also `temperature` and the calibration error of the test split with it,
    `test_ece`, and without it, `test_ece_uncalibrated`; of labels each one of each sample counts.
    `chosen`: what was chosen on validation to decide by, among the metrics of the network's epoch.
    Where the network has not learned from validation, what is fitted on it (`fitted`) is of this
    network; else it is what `chosen` has of an earlier one, or nothing: a temperature of 1.
    """
    task, device = dataset.task, torch.device("cpu")
    if task.name != MULTILABEL and task.name not in CLASS_TASKS:
        values = scoring(dataset, recipe, error_unit)(device)
        return evaluate(network, dataset.test, task, "test", score=values)
    if is_validated:
        said = outputs_of(network, dataset.validation, task)
        chosen = {**chosen, **fitted(said, dataset.validation.y, task, best_for=best_for)}
    if task.name == MULTILABEL:
        return _of_labels(network, dataset, chosen)
    shares = log_shares(dataset.train.y, task.outputs)
    offsets = offsets_of(chosen, task.outputs, shares)
    tested = ClassificationScore(task.outputs, device, offsets=offsets)
    metrics = evaluate(network, dataset.test, task, "test", score=tested)
    return {**metrics, **_calibrated(tested.outputs, tested.targets, chosen)}


def fitted(
    outputs: Tensor, targets: Tensor, task: Task, *, best_for: str | None = None
) -> dict[str, float]:
    """What is fitted to outputs for the samples of validation, by metrics of a trial: of classes
    and labels `temperature`, and of labels by what each one is decided, where `best_for`
    (`criterion.scoring`) asks for it.

    Shapes:
        outputs: (N, ...) on the CPU; targets: as those of the split
    """
    if task.name == MULTILABEL:
        offsets = best_label_offsets(outputs, targets) if best_for == "f1" else []
        told = told_offsets(offsets) if any(offsets) else {}
        return {TEMPERATURE: temperature(*of_labels(outputs, targets)), **told}
    return {TEMPERATURE: temperature(outputs, targets)} if task.name in CLASS_TASKS else {}


def _of_labels(
    network: nn.Module, dataset: Dataset, chosen: Mapping[str, float]
) -> dict[str, float]:
    task = dataset.task
    offsets = offsets_of(chosen, task.outputs)
    tested = MultilabelScore(task.outputs, torch.device("cpu"), offsets=offsets)
    metrics = evaluate(network, dataset.test, task, "test", score=tested)
    metrics |= _calibrated(*of_labels(tested.outputs, tested.targets), chosen)
    return {**metrics, **(told_offsets(offsets) if any(offsets) else {})}


def _calibrated(outputs: Tensor, targets: Tensor, chosen: Mapping[str, float]) -> dict[str, float]:
    """The temperature, and the calibration errors with it and without.

    Shapes:
        outputs: (N, classes); targets: (N,) int64
    """
    warmth = chosen.get(TEMPERATURE, 1.0)
    found = {TEMPERATURE: warmth}
    for name, divisor in (("test_ece", warmth), ("test_ece_uncalibrated", 1.0)):
        shares = probabilities(outputs, {"temperature": divisor})
        found[name] = calibration_error(shares, targets)
    return found
