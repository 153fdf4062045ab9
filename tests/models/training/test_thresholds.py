"""Thresholds and temperatures beside all that could have been chosen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.metrics import balanced_accuracy_score, f1_score

from models.datasets import datasets
from models.datasets.decision import label_probabilities
from models.recipe import Recipe
from models.training.calibration import calibration_error, of_labels, temperature
from models.training.classification import ClassificationScore
from models.training.criterion import scoring
from models.training.multilabel import MultilabelScore
from models.training.thresholds import best_margin, log_shares, offsets_of

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
    again = ClassificationScore(2, CPU, offsets=[0.0, -margin])
    again.update(outputs, y)
    assert again.compute() == score.compute()  # accuracy and all others by the same decisions
    assert again.chosen == {}


def test_the_larger_output_decides_where_nothing_is_better() -> None:
    outputs, y = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    assert best_margin(outputs, y, "f1") == 0
    assert best_margin(torch.zeros(3, 2), y, "balanced_accuracy") == 0
    with pytest.raises(ValueError, match="3 classes are decided for by their shares"):
        ClassificationScore(3, CPU, best_for="f1")


def test_classes_are_decided_for_by_what_would_be_likeliest_if_all_were_as_frequent() -> None:
    """Of two classes with the same deviation at -1, 0 and 1 the posterior is known: with tau = 1
    the class of the nearest middle is said, which has the best mean recall. Of 20,000 samples the
    recall of the rarest, 1,000, has a deviation of 0.016.
    """
    generator = torch.Generator().manual_seed(3)
    shares = torch.tensor([0.7, 0.25, 0.05])
    y = torch.multinomial(shares, 20_000, replacement=True, generator=generator)
    x = y - 1 + torch.randn(len(y), generator=generator)
    centres = torch.tensor([-1.0, 0.0, 1.0])
    outputs = -((x[:, None] - centres) ** 2) / 2 + shares.log()
    score = ClassificationScore(
        3, CPU, best_for="balanced_accuracy", log_shares=shares.double().log()
    )
    score.update(outputs, y)
    tau = score.chosen["decision_adjustment"]
    assert 0.8 <= tau <= 1.2
    offsets = offsets_of(score.chosen, 3, shares.double().log())
    said = (outputs.double() + torch.tensor(offsets)).argmax(dim=1)
    expected = balanced_accuracy_score(y, said)
    assert score.compute()["balanced_accuracy"] == pytest.approx(expected, abs=1e-12)
    nearest = (x[:, None] - centres).abs().argmin(dim=1)
    assert expected == pytest.approx(balanced_accuracy_score(y, nearest), abs=0.01)
    assert expected > balanced_accuracy_score(y, outputs.argmax(dim=1)) + 0.1
    assert offsets_of({}, 3, shares.log()) == [0.0, 0.0, 0.0]
    assert log_shares(torch.tensor([0, 0, 0, 1]), 3).exp().tolist() == pytest.approx(
        [0.75, 0.25, 0.25]  # nobody has the last one: as if there were one sample
    )


@pytest.mark.parametrize("seed", range(3))
def test_no_other_thresholds_of_labels_have_a_better_mean_of_f1(seed: int) -> None:
    parts = [rare(60, seed + part) for part in (0, 10, 20)]
    outputs = torch.stack([of[:, 1] for of, _ in parts], dim=1)
    y = torch.stack([label == 1 for _, label in parts], dim=1)
    y[:, 2] = False  # nobody has it: nothing is known of its threshold
    score = MultilabelScore(3, CPU, is_decided_here=True)
    score.update(outputs[:7], y[:7])
    score.update(outputs[7:], y[7:])
    offsets = score.offsets
    assert offsets[2] == 0
    found = []
    for label in (0, 1):
        cuts = torch.linspace(-10, 10, 401)
        said = [(outputs[:, label] >= cut) for cut in cuts]
        best = max(f1_score(y[:, label], decided) for decided in said)
        decided = outputs[:, label].double() + offsets[label] >= 0
        assert f1_score(y[:, label], decided) == pytest.approx(best, abs=1e-12)
        assert not (outputs[:, label] == -offsets[label]).any()
        found.append(best)
    if not (outputs[:, 2] >= 0).any():
        assert score.compute()["f1"] == pytest.approx(sum(found) / 2)
    again = MultilabelScore(3, CPU, offsets=offsets)
    again.update(outputs, y)
    assert again.compute() == score.compute() and score.chosen == again.chosen == {}


def test_weights_of_classes_leave_nothing_to_choose_of_more_than_two() -> None:
    wine = datasets["wine"].load()
    plain = scoring(wine, Recipe(), best_for="f1")(CPU)
    weighted = scoring(wine, Recipe(class_weight="balanced"), best_for="f1")(CPU)
    for score in (plain, weighted):
        score.update(torch.zeros(3, 3), torch.arange(3))
    assert list(plain.chosen) == ["decision_adjustment"] and weighted.chosen == {}


@pytest.mark.parametrize("factor", [0.3, 1.0, 6.0])
def test_the_temperature_has_the_least_loss(factor: float) -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(4, (200,), generator=generator)
    outputs = factor * (F.one_hot(y, 4) + torch.randn(200, 4, generator=generator)).double()

    def loss(logarithm: float) -> float:
        return F.cross_entropy(outputs / 10**logarithm, y).item()

    expected = 10 ** minimize_scalar(loss, bounds=(-1, 1), method="bounded").x
    assert temperature(outputs, y) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("factor", [0.3, 6.0])
def test_the_temperature_of_labels_has_the_least_loss(factor: float) -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.rand(200, 3, generator=generator) < torch.tensor([0.1, 0.5, 0.8])
    outputs = factor * (2.0 * y - 1 + torch.randn(200, 3, generator=generator)).double()

    def loss(logarithm: float) -> float:
        return F.binary_cross_entropy_with_logits(outputs / 10**logarithm, y.double()).item()

    expected = 10 ** minimize_scalar(loss, bounds=(-1, 1), method="bounded").x
    assert temperature(*of_labels(outputs, y)) == pytest.approx(expected, rel=1e-3)
    shares = label_probabilities(outputs, {"temperature": expected, "offsets": [0.0] * 3})
    assert torch.allclose(shares, (outputs / expected).sigmoid())
    before = {"offsets": [0.0] * 3}  # a bundle of before has no temperature
    assert torch.allclose(label_probabilities(outputs, before), outputs.sigmoid())


def test_the_calibration_error_of_labels_counts_each_of_them() -> None:
    """Of a label at 0.9, and of its absence at 0.8, one of two is right."""
    logits = torch.tensor([[0.9, 0.2], [0.9, 0.2]], dtype=torch.float64).logit()
    y = torch.tensor([[True, False], [False, True]])
    outputs, targets = of_labels(logits, y)
    assert calibration_error(outputs.softmax(dim=1), targets) == pytest.approx((0.4 + 0.3) / 2)


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
