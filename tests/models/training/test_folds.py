"""One network a fold, side by side: their means, and going on after a break."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.architecture import Architecture
from models.datasets import Dataset, Fold
from models.datasets.splits import Division, Folding
from models.datasets.tabular import classification
from models.presets import preset
from models.recipe import Recipe
from models.streams import TrainingPurpose, seed_for
from models.training.baseline import baseline
from models.training.folds import FoldedTraining
from models.training.initialization import build
from models.training.state import load_state, save_state
from models.training.trainer import Training

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.02, dropout=0.2)


@pytest.fixture(scope="module")
def folded() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, 3))
    y = (x[:, 0] + 0.5 * rng.normal(size=70) > 0).astype(int)
    columns = {f"c{index}": values for index, values in enumerate(x.T)}
    return classification("folded", columns, y, division=Division(folding=Folding(3)))


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return preset("linear").architecture


def training(dataset: Dataset, of: Architecture, recipe: Recipe = RECIPE, **given: object):
    make = partial(build, of, dataset.task, recipe)
    return FoldedTraining(make, dataset, recipe, seed=7, **given)  # type: ignore[arg-type]


def alone(dataset: Dataset, of: Architecture, recipe: Recipe = RECIPE) -> list[list[dict]]:
    """Each fold trained by itself."""
    curves = []
    for number, fold in enumerate(dataset.folds):
        seed = seed_for(7, TrainingPurpose.FOLD, number)
        network = build(of, dataset.task, recipe, seed)
        curves.append(list(Training(network, dataset.in_fold(fold), recipe, seed=seed).epochs()))
    return curves


def test_each_epoch_is_the_mean_of_one_of_each_fold(
    folded: Dataset, architecture: Architecture
) -> None:
    epochs = list(training(folded, architecture).epochs())
    curves = alone(folded, architecture)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    for name in ("val_accuracy", "val_loss", "val_auc", "train_loss"):
        for epoch, parts in zip(epochs, zip(*curves, strict=True), strict=True):
            values = [part[name] for part in parts]
            assert epoch[name] == pytest.approx(statistics.fmean(values))
            if name.startswith("val_"):
                assert epoch[f"{name}_std"] == pytest.approx(np.std(values, ddof=1))
    assert "train_loss_std" not in epochs[0]
    assert len({curve[-1]["val_loss"] for curve in curves}) == 3


def test_a_training_that_was_left_goes_on_as_if_it_had_not_been(
    folded: Dataset, architecture: Architecture, tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 8, "early_stopping": 1, "learning_rate": 1.0})
    whole = list(training(folded, architecture, recipe).epochs())
    lengths = [len(curve) for curve in alone(folded, architecture, recipe)]
    assert len(whole) == max(lengths) > min(lengths)  # one fold waits for another
    for left_after in range(1, len(whole)):
        first = training(folded, architecture, recipe)
        before = list(islice(first.epochs(), left_after))
        url = str(tmp_path / f"{left_after}")
        save_state(url, first.state(), {})
        start, _ = load_state(url)
        after = list(training(folded, architecture, recipe, start=start).epochs())
        assert before + after == whole


def test_the_baseline_is_a_mean_over_folds_of_what_all_can_compute(folded: Dataset) -> None:
    known = baseline(folded, "val")
    each = [baseline(folded.in_fold(fold), "val") for fold in folded.folds]
    assert known["val_accuracy"] == pytest.approx(
        statistics.fmean(part["val_accuracy"] for part in each)
    )
    assert not [name for name in known if name.endswith("_std")]
    first = folded.folds[0]
    ones = first.validation.y == 1
    one_class = replace(first.validation, x=first.validation.x[ones], y=first.validation.y[ones])
    broken = Fold(first.train, one_class, first.preprocessing)
    without = baseline(replace(folded, folds=(broken, *folded.folds[1:])), "val")
    assert "val_auc" in known and "val_auc" not in without and "val_accuracy" in without
