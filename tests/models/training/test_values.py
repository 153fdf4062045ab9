"""Values in their own unit, beside scikit-learn's metrics and transforms, and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
    root_mean_squared_error,
)
from sklearn.preprocessing import QuantileTransformer

from models.datasets import Dataset, datasets, series, tabular
from models.datasets.quantile_map import normal_knots, piecewise_linear
from models.datasets.target import own_values
from models.recipe import Recipe, TargetTransform
from models.training.criterion import criterion, scoring
from models.training.evaluation import evaluate
from models.training.losses import value_loss
from models.training.values import Values

CPU = torch.device("cpu")


def prices(rows: int = 400, sentinels: int = 3) -> Dataset:
    """House prices by size, in cents, two of them a hundredfold, some `99999999`; and their tax."""
    rng = np.random.default_rng(0)
    size = rng.uniform(30, 200, rows)
    price = size * 3000 * np.exp(rng.normal(0, 0.1, rows))
    tax = price * 0.01
    price[5:7] *= 100
    price[10 : 10 + sentinels] = 99_999_999
    return tabular.regression("prices", {"size": size}, {"price": price, "tax": tax})


def own(dataset: Dataset, y: torch.Tensor) -> torch.Tensor:
    target = dataset.preprocessing["target"]
    mean, deviation = (torch.tensor(target[n], dtype=torch.float64) for n in ("mean", "std"))
    return y.double().reshape(-1, len(mean)) * deviation + mean


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
def test_errors_are_those_of_scikit_learn_in_the_own_unit(transform: TargetTransform) -> None:
    dataset = prices()
    recipe = Recipe(target_transform=transform)
    outputs = torch.randn(len(dataset.test), 2, generator=torch.Generator().manual_seed(1))
    score = scoring(dataset, recipe)(CPU)
    for part in (slice(0, 7), slice(7, None)):
        score.update(outputs[part], dataset.test.y[part])
    found = score.compute()
    true = own(dataset, dataset.test.y)
    predicted = own_values(outputs, Values.of(dataset, recipe).target)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted), rel=1e-9)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted), rel=1e-9)
    assert found["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-6)
    deviations = torch.tensor(dataset.preprocessing["target"]["std"], dtype=torch.float64)
    relative = ((true - predicted) / deviations).square().mean().item()
    assert found["mse"] == pytest.approx(relative, rel=1e-9)


def test_errors_of_a_forecast_are_over_its_steps() -> None:
    rows = np.random.default_rng(0).normal(50, 4, (120, 2)) * [1.0, 100.0]
    dataset = series.forecasting("two", rows, ["a", "b"], ["b", "a"], window=6, horizon=3)
    outputs = torch.randn(len(dataset.test), 6, generator=torch.Generator().manual_seed(1))
    score = scoring(dataset, Recipe())(CPU)
    score.update(outputs, dataset.test.y)
    true, predicted = (own(dataset, y) for y in (dataset.test.y, outputs))
    found = score.compute()
    assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted), rel=1e-9)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted), rel=1e-9)
    assert found["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-6)
    in_deviations = scoring(dataset, Recipe(), "deviations")(CPU)
    in_deviations.update(outputs, dataset.test.y)
    mean = (outputs.double() - dataset.test.y.double()).abs().mean().item()
    assert in_deviations.compute()["mae"] == pytest.approx(mean, rel=1e-9)


def test_values_that_do_not_vary_have_no_explained_variance() -> None:
    score = scoring(datasets["diabetes"].load(), Recipe())(CPU)
    score.update(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.1], [0.1]]))
    assert score.compute().keys() == {"mse", "mae", "rmse", "loss"}


@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_a_transform_is_undone(transform: TargetTransform) -> None:
    dataset = prices()
    values = Values.of(dataset, Recipe(target_transform=transform))
    y = dataset.train.y
    encoded = values.encoded(y)
    assert encoded.dtype == torch.float32 and encoded.abs().max() < 12 < y.abs().max() + 12
    back = own_values(encoded.double(), values.target)
    assert torch.allclose(back, own(dataset, y), rtol=2e-5)
    beyond = own_values(torch.tensor([[1e9, -1e9]]), values.target)
    assert beyond.isfinite().all()
    assert beyond[0, 0] <= 99_999_999 * (math.e if transform == "log" else 1) * 1.01


def test_a_logarithm_has_the_sign_and_no_unit() -> None:
    raw = np.concatenate([-np.geomspace(0.01, 1e5, 60), [0.0], np.geomspace(0.01, 1e5, 60)])
    x = np.arange(121.0)
    encoded = []
    for unit in (1.0, 1000.0):
        dataset = tabular.regression("signed", {"x": x}, {"y": raw * unit})
        values = Values.of(dataset, Recipe(target_transform="log"))
        encoded.append(values.encoded(dataset.train.y).flatten())
        train = own(dataset, dataset.train.y).flatten()
        sizes = train.abs()[train.abs() > 1e-6 * unit]
        formula = train.sign() * torch.log(1 + train.abs() / sizes.median())
        standardised = (formula - formula.mean()) / formula.std(correction=0)
        assert torch.allclose(encoded[-1].double(), standardised, atol=1e-3)
    assert torch.allclose(encoded[0], encoded[1], atol=1e-3)


def test_normal_scores_are_those_of_scikit_learn_and_equal_values_share_one() -> None:
    values = torch.from_numpy(np.random.default_rng(0).gamma(1.0, 5.0, 2000))
    knots, scores = normal_knots(values)
    found = piecewise_linear(values, knots, scores).numpy()
    transformer = QuantileTransformer(n_quantiles=257, output_distribution="normal")
    theirs = transformer.fit_transform(values.numpy()[:, None])[:, 0]
    inside = np.abs(theirs) < 2.5  # beyond, its ends are -5.2 and 5.2 whatever the count
    assert np.abs(found - theirs)[inside].max() < 0.05
    assert all(a < b for a, b in pairwise(knots.tolist()))
    assert all(a < b for a, b in pairwise(scores.tolist()))
    tied, middles = normal_knots(torch.tensor([0.0, 0.0, 0.0, 7.0]))
    assert tied.tolist() == [0.0, 7.0]
    shares = [0.5 * (1 + math.erf(z / math.sqrt(2))) for z in middles.tolist()]
    assert shares == pytest.approx([1.5 / 4, 3.5 / 4])
    assert piecewise_linear(torch.tensor([5.0]), *normal_knots(torch.tensor([3.0]))).item() == 0.0


def test_losses_are_as_they_are_written() -> None:
    outputs, targets = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.5], [-1.0], [5.0]])
    flat = (targets.numpy()[:, 0], outputs.numpy()[:, 0])

    def loss(name: str, **fields: float) -> float:
        recipe = Recipe.model_validate({"loss": name, **fields})
        return value_loss(recipe)(outputs, targets).item()

    assert loss("mse") == pytest.approx((0.25 + 4) / 3)
    assert loss("mae") == pytest.approx(2.5 / 3)
    assert loss("huber") == pytest.approx((0.5 * 0.25 + (2 - 0.5)) / 3)  # Huber 1964, k = 1
    assert loss("quantile") == pytest.approx(mean_pinball_loss(*flat, alpha=0.5))
    level = loss("quantile", quantile_level=0.9)
    assert level == pytest.approx(mean_pinball_loss(*flat, alpha=0.9))


def test_what_is_for_values_is_refused_for_classes_and_the_other_way_round() -> None:
    wine = datasets["wine"].load()
    with pytest.raises(ValueError, match="loss 'mae' is for tabular_regression, forecasting, the"):
        criterion(wine, Recipe(loss="mae"), wine.train.y)
    flat = series.forecasting("flat", np.arange(60.0)[:, None], ["a"], ["a"], window=4, horizon=1)
    with pytest.raises(ValueError, match="target_transform 'log' is for tabular_regression"):
        criterion(flat, Recipe(target_transform="log"), flat.train.y)
    with pytest.raises(ValueError, match="class_weight 'balanced' is for tabular_classif"):
        criterion(flat, Recipe(class_weight="balanced"), flat.train.y)


def test_a_score_that_knows_nothing_is_in_the_unit_of_the_targets() -> None:
    dataset = datasets["diabetes"].load()
    network = torch.nn.Linear(dataset.task.input_shape[0], 1)
    plain = evaluate(network, dataset.test, dataset.task, "test")
    score = scoring(dataset, Recipe())(CPU)
    known = evaluate(network, dataset.test, dataset.task, "test", score=score)
    (deviation,) = dataset.preprocessing["target"]["std"]
    assert known["test_mse"] == plain["test_mse"] and known["test_r2"] == plain["test_r2"]
    for name in ("test_mae", "test_rmse"):
        assert known[name] == pytest.approx(plain[name] * deviation)
