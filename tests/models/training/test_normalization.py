"""Statistics of batch normalisation before a network is scored."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.datasets import Dataset, images
from models.recipe import Recipe
from models.training.initialization import build
from models.training.normalization import SAMPLES, renew
from models.training.trainer import train
from tests.models.support.sampling import cells


def test_running_statistics_become_those_of_the_samples() -> None:
    torch.manual_seed(0)
    x = torch.randn(512, 6) * 3 + 2
    network = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.ReLU()).train()
    norm = network[2]
    assert isinstance(norm, nn.BatchNorm1d)
    renew(network, lambda index: x[index], torch.arange(512))
    with torch.no_grad():
        seen = network[0](x)  # as without dropout
    halves = seen.view(2, 256, 5)
    torch.testing.assert_close(norm.running_mean, seen.mean(0))
    torch.testing.assert_close(norm.running_var, halves.var(1).mean(0))
    assert network.training and network[1].training and norm.training and norm.momentum == 0.1


def test_a_frozen_part_stays_frozen_and_gradients_are_left_alone() -> None:
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    network.train()
    network[1].eval()
    network(torch.randn(8, 3)).sum().backward()
    gradient = network[1].weight.grad.clone()
    renew(network, lambda index: torch.randn(len(index), 3), torch.arange(10))
    assert network[0].training and not network[1].training
    assert torch.equal(network[1].weight.grad, gradient)


def test_no_more_samples_are_looked_at_than_are_needed() -> None:
    seen: list[int] = []

    def batch(index: torch.Tensor) -> torch.Tensor:
        seen.append(len(index))
        return torch.randn(len(index), 3)

    renew(nn.BatchNorm1d(3), batch, torch.arange(10_000))
    assert sum(seen) == SAMPLES
    renew(nn.Linear(3, 2), batch, torch.arange(10_000))
    assert sum(seen) == SAMPLES


def easy_pictures() -> Dataset:
    """Sixty pictures of which one half is dark and the other bright, with little noise."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.integers(0, 60, (60, 16, 16)) + 120 * y[:, None, None]
    return images.from_arrays("easy", x.astype(np.uint8), y)


def test_a_few_steps_are_scored_by_what_they_learned() -> None:
    """With running means that lag behind, eight steps scored as chance with an AUC of 1."""
    dataset = easy_pictures()
    architecture = cells(dataset.task, 0, topology="nasbench201", cells=2, channels=8)
    recipe = Recipe(epochs=8, batch_size=64, learning_rate=0.05)
    network = build(architecture, dataset.task, recipe, 0)
    *_, last = train(network, dataset, recipe, seed=0)
    assert last["val_auc"] == 1.0 and last["val_accuracy"] == 1.0
