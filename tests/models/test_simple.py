"""Simple models against scikit-learn itself and closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score

from models.datasets import Dataset, Split, datasets
from models.simple import MOST_VALUES, SimpleResult, _some, simple_models, simple_results
from models.task import TASK_NAMES
from tests.models.support.uploads import read


def by_name(dataset: Dataset) -> dict[str, SimpleResult]:
    return {result.name: result for result in simple_results(dataset)}


@pytest.mark.parametrize("name", simple_models)
def test_each_is_for_known_tasks_and_says_what_it_is(name: str) -> None:
    assert simple_models[name].tasks <= set(TASK_NAMES)
    assert type(simple_models[name]).__doc__ or simple_models[name].__doc__


def test_classes_of_a_table() -> None:
    dataset = datasets["wine"].load()
    found = by_name(dataset)
    assert set(found) == {"logistic_regression", "histogram_gradient_boosting"}
    x, y = dataset.train.x.numpy(), dataset.train.y.numpy()
    predicted = LogisticRegression(max_iter=1000).fit(x, y).predict(dataset.test.x.numpy())
    expected = accuracy_score(dataset.test.y.numpy(), predicted)
    result = found["logistic_regression"]
    assert result.test["test_accuracy"] == pytest.approx(expected) and result.seconds > 0
    assert result.failure is None and not {"test_accuracy"} & result.validation.keys()
    boosted = found["histogram_gradient_boosting"]
    assert boosted.validation["val_accuracy"] > 0.9  # of three wines, 40 % of which are of one


def test_values_of_a_table_have_their_own_unit() -> None:
    dataset = datasets["diabetes"].load()
    found = by_name(dataset)
    assert set(found) == {"ridge_regression", "histogram_gradient_boosting"}
    x, y = dataset.train.x.numpy(), dataset.train.y.numpy()
    predicted = Ridge().fit(x, y).predict(dataset.test.x.numpy()).ravel()
    wanted = dataset.test.y.numpy().ravel()
    test = found["ridge_regression"].test
    assert test["test_r2"] == pytest.approx(r2_score(wanted, predicted), abs=1e-5)
    standardised = torch.cat([part.y for part in (dataset.train, dataset.validation, dataset.test)])
    deviation = (346 - 25) / float(standardised.max() - standardised.min())  # the file's range
    error = float(np.abs(predicted - wanted).mean()) * deviation
    assert test["test_mae"] == pytest.approx(error, rel=1e-4)


def test_a_series_that_repeats_itself(tmp_path: Path) -> None:
    """A season of four steps: the last value is off by the differences, the others by nothing."""
    rows = [f"2026-01-01T{i // 60:02}:{i % 60:02}:00,{(0, 1, 4, 9)[i % 4]}" for i in range(200)]
    content = "\n".join(["time,value", *rows]).encode()
    dataset = read(
        tmp_path, content, "forecasting", time="time", target="value", window=8, horizon=1
    )
    found = by_name(dataset)
    assert set(found) == {"last_value", "seasonal_naive", "ridge_regression"}
    assert found["seasonal_naive"].test["test_mae"] == pytest.approx(0, abs=1e-5)
    steps = len(dataset.test)
    last = found["last_value"].test["test_mae"]
    assert last == pytest.approx((1 + 3 + 5 + 9) / 4, abs=9 / steps)
    assert found["ridge_regression"].test["test_mae"] < 0.3


def test_texts_that_differ_in_one_word(tmp_path: Path) -> None:
    rows = [f"the film was {('bad', 'good')[i % 2]} {i},{i % 2}" for i in range(60)]
    content = "\n".join(["text,label", *rows]).encode()
    dataset = read(tmp_path, content, "text_classification", target="label", text="text")
    (result,) = simple_results(dataset)
    assert result.name == "tfidf_logistic_regression"
    assert result.test["test_accuracy"] == 1.0


def test_a_model_that_cannot_be_fitted_says_why() -> None:
    """One class in the train split is none to tell apart."""
    dataset = datasets["wine"].load()
    alone = dataset.train.y == 1
    train = Split(dataset.train.x[alone], dataset.train.y[alone])
    result = by_name(replace(dataset, train=train))["logistic_regression"]
    assert result.failure is not None and "class" in result.failure
    assert not result.validation and not result.test


def test_of_a_large_train_split_a_part_is_fitted_and_told() -> None:
    """Drawn from all of it: the samples of wine 200 times over, with 1,300 values each."""
    wine = datasets["wine"].load()
    x, y = (part.repeat(200, *[1] * (part.ndim - 1)) for part in (wine.train.x, wine.train.y))
    narrow = replace(wine, train=Split(x[:, :, None].expand(-1, -1, 100).flatten(1), y))
    some = _some(narrow.train)
    assert len(some) == MOST_VALUES // 1300 < len(y) and set(some.y.tolist()) == {0, 1, 2}
    assert torch.equal(_some(wine.train).x, wine.train.x)
    found = by_name(wine)["logistic_regression"]
    assert found.samples == len(wine.train)


def test_a_class_that_the_train_split_lacks_is_improbable_and_no_error() -> None:
    dataset = datasets["wine"].load()
    known = dataset.train.y != 1
    train = Split(dataset.train.x[known], dataset.train.y[known])
    result = by_name(replace(dataset, train=train))["logistic_regression"]
    share = float((dataset.test.y != 1).float().mean())
    assert result.failure is None
    assert result.test["test_accuracy"] == pytest.approx(share, abs=0.1)
    assert torch.isfinite(torch.tensor(result.test["test_loss"]))
