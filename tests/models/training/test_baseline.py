"""What knows nothing scores, beside plain formulas and scikit-learn's dummies."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from models.datasets import Dataset, datasets
from models.datasets.series import forecasting
from models.datasets.text import language_modeling
from models.domains import Choice
from models.recipe import Recipe, TrainingSettings
from models.task import TASK_NAMES
from models.training.baseline import baseline, comparable, held_against, season_of, verdict
from models.training.metrics import default_metric, metric_names


def test_classes_are_guessed_by_their_shares() -> None:
    dataset = datasets["breast_cancer"].load()
    y, val = dataset.train.y.numpy(), dataset.validation.y.numpy()
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(y), 1)), y)
    guesses = dummy.predict(np.zeros((len(val), 1)))
    shares = dummy.predict_proba(np.zeros((len(val), 1)))
    assert baseline(dataset, "val") == pytest.approx(
        {
            "val_accuracy": accuracy_score(val, guesses),
            "val_loss": log_loss(val, shares),
            "val_f1": f1_score(val, guesses, average="macro"),
            "val_auc": 0.5,
            "val_balanced_accuracy": balanced_accuracy_score(val, guesses),
            "val_average_precision": average_precision_score(val, shares[:, 1]),
        },
        abs=1e-6,
    )


def test_values_are_guessed_by_their_mean() -> None:
    dataset = datasets["diabetes"].load()
    mean = dataset.train.y.double().mean()
    errors = dataset.test.y.double() - mean
    found = baseline(dataset, "test")
    assert found["test_mse"] == pytest.approx(errors.square().mean().item(), rel=1e-5)
    values = dataset.preprocessing["target"]
    true, train = (
        split.y.double().numpy() * values["std"][0] + values["mean"][0]
        for split in (dataset.test, dataset.train)
    )
    dummy = DummyRegressor(strategy="median").fit(np.zeros((len(train), 1)), train)
    guesses = dummy.predict(np.zeros((len(true), 1)))
    assert found["test_mae"] == pytest.approx(mean_absolute_error(true, guesses), rel=1e-2)
    means = np.full(len(true), train.mean())
    assert found["test_rmse"] == pytest.approx(root_mean_squared_error(true, means), rel=1e-5)
    assert found["test_r2"] == pytest.approx(r2_score(true, means), abs=1e-5)


def test_a_model_is_better_than_what_knows_nothing_or_it_is_said() -> None:
    assert verdict("val_mae", "minimize", 9.0, 10.0) is None
    assert verdict("val_r2", "maximize", 0.1, 0.0) is None
    for goal in ("minimize", "maximize"):
        assert verdict("val_mae", goal, 10.0, 10.0) == (
            "No better than the baseline: val_mae is 10, what knows nothing of the inputs has 10."
        )


def test_what_means_something_else_does_not_stand_beside_a_score() -> None:
    known = baseline(datasets["diabetes"].load(), "val")
    assert comparable(known, Recipe(), "own_unit") == known
    by_loss = comparable(known, TrainingSettings(loss=Choice(("mse", "mae"))), "own_unit")
    assert known.keys() - by_loss.keys() == {"val_loss"}
    transformed = comparable(known, Recipe(target_transform="log"), "own_unit")
    assert transformed.keys() == by_loss.keys()
    weighted = comparable(known, Recipe(class_weight="balanced"), "own_unit")
    assert weighted == known  # in training alone
    older = comparable(known, Recipe(), "deviations")
    assert known.keys() - older.keys() == {"val_mae", "val_rmse"}


def series(values: np.ndarray) -> Dataset:
    return forecasting("s", values[:, None], ["v"], ["v"], window=24, horizon=6)


def test_a_forecast_is_the_last_value_or_that_of_a_season_before() -> None:
    rng = np.random.default_rng(0)
    walk = series(rng.normal(size=600).cumsum())
    assert season_of(walk) == 0
    x, y = walk.validation.x, walk.validation.y
    assert isinstance(x, torch.Tensor)
    last = (x[:, -1:, 0] - y).square().double().mean().item()
    assert baseline(walk, "val")["val_mse"] == pytest.approx(last, rel=1e-5)
    week = series(np.sin(2 * np.pi * np.arange(600) / 7) + 0.01 * rng.normal(size=600))
    assert season_of(week) == 7
    assert baseline(week, "val")["val_mse"] < 0.001


def test_a_text_is_guessed_by_the_shares_of_its_characters(tmp_path: Path) -> None:
    dataset = language_modeling("t", "aab" * 400, window=10)
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert baseline(dataset, "val")["val_loss"] == pytest.approx(entropy, abs=0.01)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_every_task_has_a_metric_that_stands_for_a_loss_without_a_floor(task: str) -> None:
    name, goal = default_metric(task)
    floor = {f"val_{known}": 0.5 for known in metric_names(task) if known != "loss"}
    assert held_against("val_loss", "minimize", floor) == (f"val_{name}", goal)
    for known in floor:
        assert held_against(known, "maximize", floor) == (known, "maximize")
    assert held_against("val_loss", "minimize", {}) is None
