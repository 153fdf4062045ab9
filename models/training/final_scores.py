"""What is found of a trained network before it is handed out: once, after all choices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from models.datasets import Dataset
from models.datasets.decision import probabilities
from models.recipe import CLASS_TASKS, Recipe
from models.task import MULTILABEL
from models.training.calibration import TEMPERATURE, calibration_error, of_labels, temperature
from models.training.classification import ClassificationScore
from models.training.criterion import scoring
from models.training.evaluation import evaluate
from models.training.multilabel import MultilabelScore
from models.training.thresholds import log_shares, offsets_of, told_offsets
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

    Of classes and labels also `temperature`, which is fitted on validation (1 where validation was
    trained on), and the calibration error of the test split with it, `test_ece`, and without it,
    `test_ece_uncalibrated`; of labels each one of each sample counts. `chosen`: what was chosen on
    validation to decide by, among the metrics of the network's epoch. Of labels that is done here,
    where `best_for` (`criterion.scoring`) asks for it, and told in the answer.
    """
    task, device = dataset.task, torch.device("cpu")
    if task.name == MULTILABEL:
        return _of_labels(network, dataset, best_for == "f1", is_validated=is_validated)
    if task.name not in CLASS_TASKS:
        values = scoring(dataset, recipe, error_unit)(device)
        return evaluate(network, dataset.test, task, "test", score=values)
    shares = log_shares(dataset.train.y, task.outputs)
    offsets = offsets_of(chosen, task.outputs, shares)
    tested = ClassificationScore(task.outputs, device, offsets=offsets)
    metrics = evaluate(network, dataset.test, task, "test", score=tested)
    fitted = 1.0
    if is_validated:
        held_out = ClassificationScore(task.outputs, device)
        evaluate(network, dataset.validation, task, "val", score=held_out)
        fitted = temperature(held_out.outputs, held_out.targets)
    return {**metrics, **_calibrated(tested.outputs, tested.targets, fitted)}


def _of_labels(
    network: nn.Module, dataset: Dataset, is_for_f1: bool, *, is_validated: bool
) -> dict[str, float]:
    task, device = dataset.task, torch.device("cpu")
    fitted, offsets = 1.0, [0.0] * task.outputs
    if is_validated:
        held = MultilabelScore(task.outputs, device, is_decided_here=is_for_f1)
        evaluate(network, dataset.validation, task, "val", score=held)
        fitted, offsets = temperature(*of_labels(held.outputs, held.targets)), held.offsets
    tested = MultilabelScore(task.outputs, device, offsets=offsets)
    metrics = evaluate(network, dataset.test, task, "test", score=tested)
    metrics |= _calibrated(*of_labels(tested.outputs, tested.targets), fitted)
    return {**metrics, **(told_offsets(offsets) if any(offsets) else {})}


def _calibrated(outputs: Tensor, targets: Tensor, fitted: float) -> dict[str, float]:
    """The temperature, and the calibration errors with it and without.

    Shapes:
        outputs: (N, classes); targets: (N,) int64
    """
    found = {TEMPERATURE: fitted}
    for name, divisor in (("test_ece", fitted), ("test_ece_uncalibrated", 1.0)):
        shares = probabilities(outputs, {"temperature": divisor})
        found[name] = calibration_error(shares, targets)
    return found
