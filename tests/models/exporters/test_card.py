"""What the card says before anything else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.architecture import Architecture
from models.checkpoint import Checkpoint, weights_of
from models.datasets import Fold, Split, datasets
from models.exporters import Export
from models.exporters.card import model_card
from models.exporters.metrics import metrics_of
from models.exporters.report import BundleReport
from models.recipe import Recipe
from models.training.initialization import build


@pytest.mark.parametrize("objective", ["val_mae", "parameters", None])
@pytest.mark.parametrize("mae", [10.0, 1000.0])
def test_the_first_line_says_that_a_model_is_no_better_than_its_baseline(
    mae: float, objective: str | None
) -> None:
    dataset = datasets["diabetes"].load()
    recipe, architecture = Recipe(), Architecture("mlp", {"depth": 0})
    network = build(architecture, dataset.task, recipe, 0)
    checkpoint = Checkpoint(weights_of(network), architecture, dataset.task, recipe, {})
    scores = {"val_mae": 10.0, "test_mae": mae, "val_mse": 0.5, "test_mse": mae / 100}
    report = BundleReport(None, "d", 0, 0, 0, scores, {}, {}, objective=objective)
    metrics: dict[str, Any] = metrics_of(Export(checkpoint, network, dataset, report, {}))
    card = model_card(metrics, dataset.preprocessing, {})
    target, test = dataset.preprocessing["target"], dataset.test.y.double()
    errors = (test - dataset.train.y.median().double()).abs() * torch.tensor(target["std"])
    floor = f"{errors.mean().item():.6g}"
    assert f"| test_mae | {mae:g} |  |  | {floor} |" in card
    assert "`mae` and `rmse` below are in it" in card
    first = card.splitlines()[0]
    if mae == 10:
        assert first == "# d: a network trained by Nasmith"
    elif objective == "val_mae":
        assert first == (
            "**No better than the baseline: test_mae is 1000, what knows nothing of the inputs "
            f"has {floor}.**"
        )
    else:
        assert first.startswith("**No better than the baseline: test_mse is 10, what knows")


def test_of_folds_the_score_of_the_search_is_held_against_their_baseline() -> None:
    """Alone it is a mean over them, as the baseline is; the weights know one validation."""
    plain = datasets["wine"].load()
    halves = [
        Fold(Split(plain.train.x, plain.train.y), Split(plain.validation.x[k::2], y), {})
        for k, y in enumerate((plain.validation.y[0::2], plain.validation.y[1::2]))
    ]
    dataset = replace(plain, folds=tuple(halves))
    recipe, architecture = Recipe(), Architecture("mlp", {"depth": 0})
    network = build(architecture, dataset.task, recipe, 0)
    checkpoint = Checkpoint(weights_of(network), architecture, dataset.task, recipe, {})
    most = plain.train.y.bincount().argmax()
    floor = sum((half.validation.y == most).double().mean().item() for half in halves) / 2
    for found, is_worse in ((floor, True), (floor + 0.01, False)):
        report = BundleReport(
            "s",
            "d",
            0,
            1,
            0,
            {"val_accuracy": 1.0},
            {"val_accuracy": found, "val_accuracy_std": 0.1},
            {},
        )
        verdict = metrics_of(Export(checkpoint, network, dataset, report, {}))["verdict"]
        assert (verdict is not None) == is_worse
        if is_worse:
            assert verdict == (
                f"No better than the baseline: val_accuracy is {floor:.6g}, what knows nothing of "
                f"the inputs has {floor:.6g}."
            )


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            {
                "classes": ["a", "b", "c"],
                "decision": {"temperature": 2.0, "offsets": [0.0, 2.0, 4.0]},
            },
            # By e^(offset / temperature): 1, e and e^2.
            "each probability times a 1, b 2.718, c 7.389; `model.decided(",
        ),
        (
            {"classes": ["a", "b", "c"], "decision": {"temperature": 1.0, "offsets": [0.0] * 3}},
            "Class: that of the largest output; `model.decided(",
        ),
        (
            {
                "labels": ["a", "b"],
                "decision": {"temperature": 2.0, "offsets": [0.0, 2 * math.log(3)]},
            },
            # A logit of -2 log 3 is a probability of 1/4 at a temperature of 2.
            "but from these on, which have the best F1 on validation: b 0.25; `model.labels_said(",
        ),
        (
            {"target": {"names": ["price", "n"], "units": ["€", None]}},
            "standardised price (in €), n: `model.own_values(",
        ),
    ],
)
def test_the_card_says_what_the_outputs_mean(known: dict[str, Any], said: str) -> None:
    dataset = datasets["wine"].load()
    recipe, architecture = Recipe(), Architecture("mlp", {"depth": 0})
    network = build(architecture, dataset.task, recipe, 0)
    checkpoint = Checkpoint(weights_of(network), architecture, dataset.task, recipe, {})
    report = BundleReport(None, "d", 0, 0, 0, {}, {}, {})
    metrics = metrics_of(Export(checkpoint, network, dataset, report, {}))
    plain = {key: part for key, part in dataset.preprocessing.items() if key != "classes"}
    assert said in model_card(metrics, {**plain, **known}, {})
