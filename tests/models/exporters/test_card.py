"""What the card says before anything else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.architecture import Architecture
from models.checkpoint import Checkpoint, weights_of
from models.datasets import datasets
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
