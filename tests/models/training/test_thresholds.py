"""Thresholds and temperatures beside all that could have been chosen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.metrics import balanced_accuracy_score, f1_score

from models.training.calibration import calibration_error, temperature
from models.training.classification import ClassificationScore
from models.training.thresholds import best_margin

CPU = torch.device("cpu")


def rare(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a network that is rather sure of the first class, and one sample in ten of the
    second; some outputs are equal.
    """
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(count, generator=generator) < 0.1).long()
    signal = (y * 1.5 - 3 + torch.randn(count, generator=generator)).mul(4).round() / 4
    return torch.stack([torch.zeros(count), signal], dim=1), y


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy"])
def test_no_other_threshold_scores_better_on_what_it_was_chosen_on(metric: str, seed: int) -> None:
    outputs, y = rare(60, seed)
    score = ClassificationScore(2, CPU, best_for=metric)
    score.update(outputs[:7], y[:7])
    score.update(outputs[7:], y[7:])

    def scored(said: torch.Tensor) -> float:
        if metric == "f1":
            return float(f1_score(y, said, average="macro"))
        return float(balanced_accuracy_score(y, said))

    differences = outputs[:, 1] - outputs[:, 0]
    found = [scored((differences > cut).long()) for cut in torch.linspace(-10, 10, 401)]
    assert score.compute()[metric] == pytest.approx(max(found), abs=1e-12)
    margin = score.chosen["decision_margin"]
    assert not (differences == margin).any()  # midway: rounding moves no sample across
    again = ClassificationScore(2, CPU, margin=margin)
    again.update(outputs, y)
    assert again.compute() == score.compute()  # accuracy and all others by the same decisions
    assert again.chosen == {}


def test_the_larger_output_decides_where_nothing_is_better() -> None:
    outputs, y = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    assert best_margin(outputs, y, "f1") == 0
    assert best_margin(torch.zeros(3, 2), y, "balanced_accuracy") == 0
    with pytest.raises(ValueError, match="a threshold is between two classes, got 3"):
        ClassificationScore(3, CPU, best_for="f1")


@pytest.mark.parametrize("factor", [0.3, 1.0, 6.0])
def test_the_temperature_has_the_least_loss(factor: float) -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(4, (200,), generator=generator)
    outputs = factor * (F.one_hot(y, 4) + torch.randn(200, 4, generator=generator)).double()

    def loss(logarithm: float) -> float:
        return F.cross_entropy(outputs / 10**logarithm, y).item()

    expected = 10 ** minimize_scalar(loss, bounds=(-1, 1), method="bounded").x
    assert temperature(outputs, y) == pytest.approx(expected, rel=1e-3)


def test_a_sample_that_says_nothing_of_the_temperature_leaves_it_at_one() -> None:
    y = torch.tensor([0, 1, 0, 1])
    sure = 3.0 * F.one_hot(y, 2)
    assert temperature(sure, y) == 1  # all are right: the loss falls for ever
    assert temperature(torch.zeros(4, 2), y) == 1
    assert temperature(sure, 1 - y) == 20  # all are wrong: as unsure as may be


def test_the_calibration_error_is_that_of_fifteen_bins_by_hand() -> None:
    """Bins (9/15, 10/15] and (13/15, 14/15]: two of three right at 0.65, none of one at 0.9."""
    confidence = torch.tensor([0.65, 0.65, 0.65, 0.9], dtype=torch.float64)
    shares = torch.stack([confidence, 1 - confidence], dim=1)
    y = torch.tensor([0, 0, 1, 1])
    expected = 3 / 4 * abs(2 / 3 - 0.65) + 1 / 4 * abs(0 - 0.9)
    assert calibration_error(shares, y) == pytest.approx(expected, abs=1e-12)
    certain = F.one_hot(y, 2).double()
    assert calibration_error(certain, y) == 0 and calibration_error(certain, 1 - y) == 1
