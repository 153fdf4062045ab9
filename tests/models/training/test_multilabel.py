"""Scores of samples with several labels, against scikit-learn and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

from models.task import MULTILABEL
from models.training.metrics import scores

CPU = torch.device("cpu")


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(0, 2**31 - 1),
)
def test_metrics_are_those_of_scikit_learn_however_the_data_is_cut(
    sizes: list[int], labels: int, levels: int, seed: int
) -> None:
    """`levels`: few make ties."""
    generator = torch.Generator().manual_seed(seed)
    score = scores[MULTILABEL](labels, CPU)
    logits = [
        (torch.randn(size, labels, generator=generator) * levels).round() / levels - 0.3
        for size in sizes
    ]
    targets = [torch.rand(size, labels, generator=generator) < 0.3 for size in sizes]
    for outputs, y in zip(logits, targets, strict=True):
        score.update(outputs, y)
    outputs, y = torch.cat(logits), torch.cat(targets)
    shares, predicted = outputs.double().sigmoid().numpy(), (outputs >= 0).numpy()
    true, logits_of = y.numpy(), outputs.numpy()  # the sigmoid of equal logits may differ in a bit
    mixed = [i for i in range(labels) if 0 < true[:, i].sum() < len(true)]
    held = [i for i in range(labels) if true[:, i].any()]
    expected = {
        "accuracy": accuracy_score(true, predicted),
        "loss": sum(log_loss(true[:, i], shares[:, i], labels=[0, 1]) for i in range(labels))
        / labels,
    }
    occurs = [i for i in range(labels) if true[:, i].any() or predicted[:, i].any()]
    if occurs:
        expected["f1"] = sum(f1_score(true[:, i], predicted[:, i]) for i in occurs) / len(occurs)
    if held:
        expected["average_precision"] = sum(
            average_precision_score(true[:, i], logits_of[:, i]) for i in held
        ) / len(held)
    if mixed:
        expected["auc"] = sum(roc_auc_score(true[:, i], logits_of[:, i]) for i in mixed) / len(
            mixed
        )
    assert score.compute() == {
        name: pytest.approx(value, rel=1e-5, abs=1e-6) for name, value in expected.items()
    }


def test_the_loss_of_one_label_by_hand_and_what_smoothing_makes_of_it() -> None:
    outputs, targets = torch.tensor([[math.log(3.0)]]), torch.tensor([[True]])  # a share of 3/4
    loss = scores[MULTILABEL].loss
    assert loss(outputs, targets).item() == pytest.approx(-math.log(0.75))
    smoothed = -0.9 * math.log(0.75) - 0.1 * math.log(0.25)
    assert loss(outputs, targets, 0.2).item() == pytest.approx(smoothed)
