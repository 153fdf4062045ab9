"""Weights of classes beside scikit-learn's, and what they do to a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from models.architecture import Architecture
from models.datasets import datasets
from models.family import families
from models.recipe import Recipe
from models.training.class_weights import (
    balanced,
    balanced_labels,
    weighted_binary_cross_entropy,
    weighted_cross_entropy,
)
from models.training.multilabel import MultilabelScore
from models.training.trainer import train


def test_weights_are_those_of_scikit_learn() -> None:
    y = torch.tensor([0, 0, 0, 0, 2, 2, 0, 3])
    known = [0, 2, 3]
    weights = balanced(y, 5)
    expected = compute_class_weight("balanced", classes=torch.tensor(known).numpy(), y=y.numpy())
    assert weights[known].tolist() == pytest.approx(list(expected))
    assert weights[[1, 4]].tolist() == [0, 0]  # nobody has these classes
    assert weights[y].mean().item() == pytest.approx(1)


def test_the_parts_of_an_epoch_add_up_to_the_loss_of_the_whole() -> None:
    """With torch's own mean, over the weights of a batch, they do not."""
    outputs, y = torch.randn(64, 3), torch.randint(3, (64,)) % torch.tensor([1, 3]).repeat(32)
    weights = balanced(y, 3)
    whole = F.cross_entropy(outputs, y, weights)  # the weights of all samples have the mean 1
    parts = [
        weighted_cross_entropy(outputs[part], y[part], weights).item()
        for part in torch.arange(64).split(8)
    ]
    assert sum(parts) / 8 == pytest.approx(whole.item(), rel=1e-5)
    smoothed = weighted_cross_entropy(outputs, y, torch.ones(3), 0.2)
    assert smoothed.item() == pytest.approx(
        F.cross_entropy(outputs, y, label_smoothing=0.2).item(), rel=1e-5
    )


def test_a_label_is_two_classes_and_weighs_as_torch_has_it() -> None:
    y = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 1]], dtype=torch.bool)
    weights = balanced_labels(y)
    for label in (0, 1):
        of_label = y[:, label].numpy()
        expected = compute_class_weight("balanced", classes=np.array([False, True]), y=of_label)
        assert weights[:, label].tolist() == pytest.approx(list(expected))
    assert weights[:, 2].tolist() == [0, 1]  # every sample has it
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    loss = weighted_binary_cross_entropy(outputs[:, :2], y[:, :2], weights[:, :2])
    of_torch = F.binary_cross_entropy_with_logits(
        outputs[:, :2], y[:, :2].float(), pos_weight=torch.tensor([3.0, 3.0])
    )
    assert loss.item() == pytest.approx(of_torch.item() * 4 / 6)  # 4 samples of 3 + 1 + 1 + 1
    even = torch.ones(2, 3)
    assert weighted_binary_cross_entropy(outputs, y, even, 0.2).item() == pytest.approx(
        MultilabelScore.loss(outputs, y, 0.2).item()
    )


def test_a_linear_network_with_balanced_classes_is_the_regression_of_scikit_learn() -> None:
    data = datasets["breast_cancer"].load()
    recipe = Recipe(
        epochs=150, batch_size=65_536, optimizer="sgd", schedule="constant", learning_rate=1.0,
        l2=0.1, class_weight="balanced",
    )  # fmt: skip
    network = families["mlp"].build(Architecture("mlp", {"depth": 0}), data.task, recipe)
    *_, last = train(network, data, recipe, seed=0)
    x, y = data.train.x.numpy(), data.train.y.numpy()  # type: ignore[union-attr]  # of a table
    # Two outputs share what one has, each with half of it: the same penalty on both is half of it.
    model = LogisticRegression(
        C=2 / (0.1 * len(y)), class_weight="balanced", tol=1e-8, max_iter=999
    )
    model.fit(x, y)
    with torch.no_grad():
        shares = network(data.validation.x).softmax(dim=1)[:, 1]
    expected = model.predict_proba(data.validation.x.numpy())[:, 1]  # type: ignore[union-attr]
    assert shares.tolist() == pytest.approx(expected.tolist(), abs=2e-3)
    outputs = network(data.validation.x)
    assert last["val_loss"] == pytest.approx(F.cross_entropy(outputs, data.validation.y).item())
