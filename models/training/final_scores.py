"""What is found of a trained network before it is handed out: once, after all choices."""

from __future__ import annotations

import torch
from torch import nn

from models.datasets import Dataset
from models.datasets.decision import probabilities
from models.recipe import CLASS_TASKS, Recipe
from models.training.calibration import TEMPERATURE, calibration_error, temperature
from models.training.classification import ClassificationScore
from models.training.criterion import scoring
from models.training.evaluation import evaluate
from models.training.values import ErrorUnit


def final_scores(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    error_unit: ErrorUnit = "own_unit",
    *,
    margin: float = 0.0,
    is_validated: bool,
) -> dict[str, float]:
    """The test metrics of a network on the CPU.

    Of classes also `temperature`, which is fitted on validation (1 where validation was trained
    on), and the calibration error of the test split with it, `test_ece`, and without it,
    `test_ece_uncalibrated`. `margin`: the threshold between two classes that was chosen on
    validation.
    """
    task, device = dataset.task, torch.device("cpu")
    if task.name not in CLASS_TASKS:
        score = scoring(dataset, recipe, error_unit)(device)
        return evaluate(network, dataset.test, task, "test", score=score)
    tested = ClassificationScore(task.outputs, device, margin=margin)
    metrics = evaluate(network, dataset.test, task, "test", score=tested)
    fitted = 1.0
    if is_validated:
        held_out = ClassificationScore(task.outputs, device)
        evaluate(network, dataset.validation, task, "val", score=held_out)
        fitted = temperature(held_out.outputs, held_out.targets)
    for name, divisor in (("test_ece", fitted), ("test_ece_uncalibrated", 1.0)):
        shares = probabilities(tested.outputs, {"temperature": divisor})
        metrics[name] = calibration_error(shares, tested.targets)
    return {**metrics, TEMPERATURE: fitted}
