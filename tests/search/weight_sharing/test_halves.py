"""The halves of a train split, of every kind of data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.datasets import Dataset, datasets, series, text
from models.datasets.graphs import of_graphs, of_nodes
from models.graph_samples import Graphs, Nodes
from search.testing.small_graphs import citations, molecules
from search.weight_sharing.halves import Halves, divided, statistics_batches

CPU = torch.device("cpu")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def ramp() -> Dataset:
    """A series whose values tell their time."""
    values = np.arange(120.0)[:, None]
    return series.forecasting("ramp", values, ["v"], ["v"], window=6, horizon=4)


def letters() -> Dataset:
    """A text whose windows tell their place."""
    words = [a + b + c for a, b, c in itertools.product(LETTERS, repeat=3)][:200]
    return text.language_modeling("letters", "".join(words) * 5, window=30)


def waves() -> Dataset:
    rng = np.random.default_rng(0)
    return series.classification("waves", rng.normal(size=(50, 8, 2)), np.arange(50) % 2)


def reviews() -> Dataset:
    texts = [f"good {n}" if n % 2 else f"bad {n}" for n in range(50)]
    return text.classification("reviews", texts, np.arange(50) % 2)


def identities(x: object) -> list[tuple[float, ...]]:
    """What tells samples apart."""
    if isinstance(x, Nodes):
        return [(float(node),) for node in x.picked]
    if isinstance(x, Graphs):
        assert isinstance(x.x, Tensor)
        return [
            (*x.x[x.graph_of == graph].flatten().tolist(), float(graph))
            for graph in range(x.graphs)
        ]
    assert isinstance(x, Tensor)
    return [tuple(sample.flatten().tolist()) for sample in x]


CLASSES: dict[str, Callable[[], Dataset]] = {
    "images": lambda: datasets["digits"].load(),
    "tables": lambda: datasets["wine"].load(),
    "sequences": waves,
    "texts": reviews,
    "nodes": lambda: of_nodes("nodes", citations()),
    "graphs": lambda: of_graphs("graphs", molecules()),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_half_has_half_of_every_class_and_no_sample_of_the_other(kind: str) -> None:
    dataset = CLASSES[kind]()
    halves = divided(dataset, seed=3)
    counts = [Counter(half.y.tolist()) for half in halves]
    assert counts[0] + counts[1] == Counter(dataset.train.y.tolist())
    assert all(abs(counts[0][label] - counts[1][label]) <= 2 for label in counts[0])
    if kind not in ("graphs", "images"):  # there samples can be equal
        assert not set(identities(halves[0].x)) & set(identities(halves[1].x))
    again, other = divided(dataset, seed=3), divided(dataset, seed=4)
    assert identities(again[0].x) == identities(halves[0].x)
    assert identities(other[0].x) != identities(halves[0].x)


def test_nodes_are_divided_and_their_graph_is_shared() -> None:
    dataset = of_nodes("nodes", citations())
    for half in divided(dataset, seed=0):
        assert isinstance(half.x, Nodes) and isinstance(dataset.train.x, Nodes)
        assert half.x.links is dataset.train.x.links and half.x.x is dataset.train.x.x
        assert set(half.x.picked.tolist()) < set(dataset.train.x.picked.tolist())


def test_a_regression_is_divided_at_random() -> None:
    halves = divided(datasets["diabetes"].load(), seed=0)
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    assert not set(identities(halves[0].x)) & set(identities(halves[1].x))


def test_no_value_to_forecast_is_in_both_halves() -> None:
    """Windows overlap, so that halves at random would share nearly all values."""
    dataset = ramp()
    earlier, later = divided(dataset, seed=0)
    assert earlier.y.max() < later.y.min()
    assert len(earlier) + len(later) == len(dataset.train) - 3  # horizon - 1
    assert abs(len(earlier) - len(later)) <= 1
    few = series.forecasting("few", np.arange(26.0)[:, None], ["v"], ["v"], window=4, horizon=4)
    short = Dataset(
        few.name,
        few.task,
        type(few.train)(few.train.x[:4], few.train.y[:4]),
        few.validation,
        few.test,
        few.raw_test,
        few.preprocessing,
        few.fingerprint,
    )
    with pytest.raises(ValueError, match="4 windows are too few for two halves with 3 left out"):
        divided(short, seed=0)


def test_a_text_is_divided_in_two_blocks() -> None:
    dataset = letters()
    halves = divided(dataset, seed=0)
    for field in ("x", "y"):
        joined = torch.cat([getattr(half, field) for half in halves])
        assert torch.equal(joined, getattr(dataset.train, field))
    assert abs(len(halves[0]) - len(halves[1])) <= 1


@pytest.mark.parametrize("kind", ["images", "tables", "nodes", "graphs"])
def test_an_epoch_has_every_sample_once_in_an_order_of_its_own(kind: str) -> None:
    dataset = CLASSES[kind]()
    halves = Halves(dataset, 0, CPU)
    seen: dict[int, list[list[int]]] = {}
    for epoch in (1, 2):
        batches = list(halves.batches(16, epoch))
        assert len(batches) == halves.steps(16)
        assert all(len(batch.x) == len(batch.y) <= 16 for pair in batches for batch in pair)
        seen[epoch] = [torch.cat([pair[half].y for pair in batches]).tolist() for half in (0, 1)]
    for half, split in enumerate((halves.weights, halves.architecture)):
        assert sorted(seen[1][half]) == sorted(split.y.tolist())
    assert seen[1] != seen[2]
    again = [[b.y.tolist() for b in pair] for pair in Halves(dataset, 0, CPU).batches(16, 2)]
    assert again == [[b.y.tolist() for b in pair] for pair in halves.batches(16, 2)]


def test_a_batch_holds_the_targets_of_its_samples() -> None:
    dataset = of_nodes("nodes", citations())
    classes = torch.from_numpy(citations()["y"])
    for pair in Halves(dataset, 0, CPU).batches(8, 1):
        for batch in pair:
            assert isinstance(batch.x, Nodes)
            assert torch.equal(batch.y, classes[batch.x.picked])


@pytest.mark.parametrize("samples", [1 + 64, 100])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d(1), nn.BatchNorm2d(1)], ids=["rows", "images"])
def test_statistics_of_few_samples_are_taken_until_old_ones_are_gone(
    samples: int, norm: nn.BatchNorm1d | nn.BatchNorm2d
) -> None:
    """Against mean and variance of all samples; 3 % of the mean of 50 before would be 1.7."""
    norm.running_mean = torch.full((1,), 50.0)
    torch.manual_seed(0)
    x = torch.randn(samples, 1) * 2 + 3
    if isinstance(norm, nn.BatchNorm2d):
        x = x[:, :, None, None]
    for part in statistics_batches(x):
        norm(part)
    assert norm.running_mean.item() == pytest.approx(x.mean().item() + 0.9**32 * 47, abs=0.15)
    assert norm.running_var is not None
    assert norm.running_var.item() == pytest.approx(x.var().item(), rel=0.1)
