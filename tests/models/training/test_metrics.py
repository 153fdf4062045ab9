from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from models.recipe import Recipe
from models.registry import UnknownNameError
from models.task import MULTILABEL, TASK_NAMES
from models.training.classification import area_under_curve, average_precision
from models.training.defaults import default_recipe
from models.training.metrics import default_metric, metric_names, scores


def test_image_classification_names_its_metrics_and_its_default() -> None:
    assert metric_names("image_classification") == (
        "accuracy",
        "loss",
        "f1",
        "auc",
        "balanced_accuracy",
        "average_precision",
    )
    assert default_metric("image_classification") == ("accuracy", "maximize")


def batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and targets of a task with three outputs."""
    if name == "language_modeling":
        return torch.randn(5, 4, 3), torch.randint(3, (5, 4))
    if name in ("tabular_regression", "forecasting"):
        return torch.randn(5, 3), torch.randn(5, 3)
    if name == MULTILABEL:
        return torch.randn(5, 3), torch.arange(15).reshape(5, 3) % 2 == 0
    return torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("name", TASK_NAMES)
def test_every_task_has_a_score_that_computes_what_it_names(name: str) -> None:
    score = scores[name](3, torch.device("cpu"))
    outputs, targets = batch(name)
    score.update(outputs, targets)
    computed = score.compute()
    assert set(computed) == set(metric_names(name)) >= {"loss"}
    assert computed["loss"] == pytest.approx(score.loss(outputs, targets).item(), rel=1e-5)
    assert default_metric(name)[0] in metric_names(name)
    assert set(scores[name].goals.values()) <= {"maximize", "minimize"}


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_score_says_where_label_smoothing_changes_nothing(name: str) -> None:
    outputs, targets = batch(name)
    plain, smoothed = (scores[name].loss(outputs, targets, amount) for amount in (0.0, 0.2))
    assert (plain.item() == smoothed.item()) == ("label_smoothing" in scores[name].ignores)


def test_an_unknown_task_is_refused_by_name() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown task 'painting', known are forecasting, gr"
    ):
        metric_names("painting")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(2, 7), st.integers())
def test_metrics_are_those_of_scikit_learn_however_the_data_is_cut(
    sizes: list[int], classes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed % 2**31)
    score = scores["image_classification"](classes, torch.device("cpu"))
    logits = [torch.randn(size, classes, generator=generator) for size in sizes]
    targets = [torch.randint(classes, (size,), generator=generator) for size in sizes]
    for outputs, y in zip(logits, targets, strict=True):
        score.update(outputs, y)
    outputs, y = torch.cat(logits), torch.cat(targets)
    probabilities = outputs.double().softmax(dim=1)
    auc = one_against_the_rest(roc_auc_score, y, probabilities)
    of_second = [1] if classes == 2 else list(range(classes))
    precision = one_against_the_rest(average_precision_score, y, probabilities, of_second)
    with warnings.catch_warnings(action="ignore"):  # of classes that are said and never true
        balanced = balanced_accuracy_score(y, outputs.argmax(1))
    assert score.compute() == {
        "accuracy": pytest.approx(accuracy_score(y, outputs.argmax(1)), abs=1e-12),
        "f1": pytest.approx(f1_score(y, outputs.argmax(1), average="macro"), abs=1e-12),
        "balanced_accuracy": pytest.approx(balanced, abs=1e-12),
        "loss": pytest.approx(
            log_loss(y, probabilities, labels=list(range(classes))), rel=1e-5, abs=1e-6
        ),
        **({} if auc is None else {"auc": pytest.approx(auc, abs=1e-12)}),
        **({} if precision is None else {"average_precision": pytest.approx(precision, abs=1e-12)}),
    }


def one_against_the_rest(
    metric: Callable[..., float],
    y: torch.Tensor,
    probabilities: torch.Tensor,
    labels: Sequence[int] | None = None,
) -> float | None:
    """The mean of scikit-learn's metric over the classes that some and not all samples have."""
    found = [
        metric(y == label, probabilities[:, label])
        for label in labels or range(probabilities.shape[1])
        if 0 < (y == label).sum() < len(y)
    ]
    return sum(found) / len(found) if found else None


def test_a_tie_counts_half_of_the_area() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    y = torch.tensor([0, 1, 1, 0])
    assert area_under_curve(probabilities, y) == pytest.approx(3.5 / 4)
    assert area_under_curve(probabilities, torch.zeros(4, dtype=torch.int64)) is None


def test_equal_probabilities_are_one_threshold_of_the_average_precision() -> None:
    """By hand: 0.8 finds one of two at a precision of 1/1, 0.5 the other at 2/3."""
    shares = torch.tensor([0.5, 0.5, 0.8, 0.1])
    probabilities, y = torch.stack([1 - shares, shares], dim=1), torch.tensor([0, 1, 1, 0])
    assert average_precision(probabilities, y) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(probabilities, torch.ones(4, dtype=torch.int64)) is None


def test_errors_of_a_regression_do_not_depend_on_the_batches() -> None:
    score = scores["tabular_regression"](2, torch.device("cpu"))
    score.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]]))
    score.update(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 0.0], [1.0, 1.0]]))
    predicted, true = [[1, 2], [0, 0], [1, 1]], [[0, 0], [3, 0], [1, 1]]
    assert score.compute() == {
        "mse": 14 / 6,
        "mae": 1.0,
        "loss": 14 / 6,
        "rmse": pytest.approx(root_mean_squared_error(true, predicted), abs=1e-12),
        "r2": pytest.approx(r2_score(true, predicted), abs=1e-12),
    }


def test_perplexity_is_the_exponential_of_the_log_loss_and_of_guessing_the_vocabulary() -> None:
    outputs, targets = torch.randn(6, 5, 7), torch.randint(7, (6, 5))
    score = scores["language_modeling"](7, torch.device("cpu"))
    for part in (slice(0, 1), slice(1, 6)):
        score.update(outputs[part], targets[part])
    probabilities = outputs.double().softmax(dim=2).flatten(0, 1)
    loss = log_loss(targets.flatten(), probabilities, labels=list(range(7)))
    assert score.compute() == {
        "loss": pytest.approx(loss, rel=1e-5),
        "perplexity": pytest.approx(math.exp(loss), rel=1e-5),
    }
    uniform = scores["language_modeling"](7, torch.device("cpu"))
    uniform.update(torch.zeros(2, 3, 7), torch.randint(7, (2, 3)))
    assert uniform.compute()["perplexity"] == pytest.approx(7, rel=1e-6)


@pytest.mark.parametrize("name", TASK_NAMES)
def test_every_task_has_a_recipe_of_its_own(name: str) -> None:
    recipe = default_recipe(name)
    assert recipe.augmentation == "none" and recipe.early_stopping == 0
    assert (recipe == Recipe()) == (name == "image_classification")


def test_a_non_finite_output_is_not_hidden() -> None:
    score = scores["image_classification"](2, torch.device("cpu"))
    score.update(torch.tensor([[float("nan"), 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    assert score.compute()["loss"] != score.compute()["loss"]
