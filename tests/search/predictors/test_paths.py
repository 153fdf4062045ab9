"""Strategies that train sampled paths through shared weights and compare many of them."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.nn import functional

from models.families.cnn_cell import CnnCellSettings
from models.family import families
from models.recipe import Recipe
from models.supernets import supernets
from models.task import Task
from search.space import SearchSpace
from search.strategies.enas import EnasSearch, EnasSettings
from search.strategies.random_sharing import RandomSharingSearch, RandomSharingSettings
from search.weight_sharing.one_shot import Batch
from search.weight_sharing.paths import Paths, PathSettings, batch_statistics

TASK = Task("image_classification", (1, 6, 6), 3)
KINDS = [(EnasSearch, EnasSettings), (RandomSharingSearch, RandomSharingSettings)]


def search_of(kind: type[Paths], settings: PathSettings, loss: Any, **space: Any) -> Any:
    """A search on a small supernet in float64."""
    torch.manual_seed(0)
    small = CnnCellSettings.model_validate(
        {"topology": "nasbench201", "nodes": 3, "cells": 1, "channels": 2, **space}
    )
    supernet = supernets["cnn_cell"].build(small, TASK).double()
    generator = torch.Generator().manual_seed(0)
    architectures = SearchSpace.of_architectures("cnn_cell", small, TASK)
    search = kind(supernet, settings, loss, generator, architectures)
    search.begin_epoch(settings.epochs)
    return search


def batch(seed: int) -> Batch:
    torch.manual_seed(seed)
    return Batch(torch.randn(12, 1, 6, 6, dtype=torch.double), torch.randint(3, (12,)))


def test_the_controller_learns_which_paths_lose_least() -> None:
    """The loss is the size of the outputs, which is 0 where nothing leads to the last node: on 9 of
    125 paths, all of them with `none` on the edge from the first to the last.

    Without learning a fifth of the draws has it; more than 100 of 200 then happen less than once
    in 10^12.
    """

    def size(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.abs().mean()

    settings = EnasSettings(controller_learning_rate=0.02, baseline_decay=0.9)
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    search = search_of(EnasSearch, settings, size, operations=operations)
    with torch.no_grad():
        search.supernet.classifier.weight.mul_(100)
        search.supernet.classifier.bias.zero_()

    def count() -> int:
        drawn = search.sample(200, torch.Generator().manual_seed(1))
        return sum(path.decisions["edge_0_2"] == "none" for path in drawn)

    assert count() < 80
    path, held_out = search.sample(1, torch.Generator().manual_seed(0))[0], batch(1)
    for _ in range(80):
        search.held_out_step(path, held_out)
    assert count() > 100


def test_a_step_of_the_controller_is_the_policy_gradient() -> None:
    """Adam's first step is the learning rate times the sign of the gradient: here that of
    log p (r - b) for the second batch of rewards, b the mean of the first.
    """
    settings = EnasSettings(entropy=0.0, baseline_decay=0.5)
    search = search_of(EnasSearch, settings, functional.cross_entropy)
    generator = torch.Generator().manual_seed(3)
    first, second = search.policy.draw(2, generator), search.policy.draw(3, generator)
    search.learn(first, [0.2, 0.6])  # to a baseline of 0.4
    reference = search_of(EnasSearch, settings, functional.cross_entropy)
    reference.policy.controller.load_state_dict(search.policy.controller.state_dict())
    reference.load(
        {
            key: value
            for key, value in search.state().items()
            if not key.startswith("controller_optimizer.")
        }
    )
    log_p, _ = reference.policy.log_probabilities(second)
    (-(log_p * torch.tensor([0.6, -0.4, 0.1])).mean()).backward()
    before = [p.detach().clone() for p in reference.policy.controller.parameters()]
    reference.learn(second, [1.0, 0.0, 0.5])
    for old, new, expected in zip(
        before,
        reference.policy.controller.parameters(),
        [p.grad for p in reference.policy.controller.parameters()],
        strict=True,
    ):
        if expected is None:  # what comes after the last decision
            continue
        large = expected.abs() > 1e-6
        rate = settings.controller_learning_rate
        assert torch.allclose((new - old)[large], -rate * expected.sign()[large], rtol=0.05)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_only_the_weights_of_the_path_move(kind: Any, settings: Any) -> None:
    search = search_of(kind, settings(weight_decay=0.0), functional.cross_entropy)
    space = search._space
    edges = ("edge_0_1", "edge_0_2", "edge_1_2")
    on, off = (
        space.candidate(
            {**space.values(space.sample(Random(0))), **dict.fromkeys(edges, operation)}
        ).architecture
        for operation in ("nor_conv_3x3", "nor_conv_1x1")
    )
    before = {path: search.supernet.weights_of(path) for path in (on, off)}
    search.train_weights(batch(1), search.supernet.mix_of(on))
    for path, weights in before.items():
        after = search.supernet.weights_of(path)
        kernels = [name for name in weights if "_from_" in name and weights[name].dim() == 4]
        assert len(kernels) == 9  # three stages of three edges
        assert all(torch.equal(weights[n], after[n]) is (path == off) for n in kernels)


def test_every_decision_of_a_path_is_drawn_uniformly() -> None:
    """Each option of each decision, and each pair of options of two decisions: 1 in 10^6 is off."""
    search = search_of(
        RandomSharingSearch,
        RandomSharingSettings(),
        functional.cross_entropy,
        topology="darts",
        nodes=2,
        cells=2,
        channels=2,
        operations=["none", "skip_connect", "max_pool_3x3"],
    )
    drawn = search.sample(3000, torch.Generator().manual_seed(5))
    free = [d for d in search._space.decisions if d.domain.size > 1]
    assert len(free) == 10  # the first node has two inputs to choose from
    for decision in free:
        counts = Counter(path.decisions[decision.name] for path in drawn)
        assert len(counts) == decision.domain.size
        assert chisquare(list(counts.values())).pvalue > 1e-6
    pairs = Counter(tuple(path.decisions[d.name] for d in free[1:3]) for path in drawn)
    assert len(pairs) == math.prod(d.domain.size for d in free[1:3])
    assert chisquare(list(pairs.values())).pvalue > 1e-6


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_the_best_of_the_scored_paths_is_derived(kind: Any, settings: Any) -> None:
    """Against the plain networks with copied weights, normalised by the statistics of the batch."""
    search = search_of(
        kind,
        settings(samples=40, finalists=40),
        functional.cross_entropy,
        operations=["skip_connect", "nor_conv_3x3", "avg_pool_3x3"],
    )
    for seed in range(3):
        search.step(batch(seed), batch(seed + 10))
    held_out, generator = batch(20), search._generator.clone_state()
    kept = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    derived = search.derive(held_out)
    losses = {}
    for path in search.sample(40, generator):
        network = families["cnn_cell"].build(path, TASK, Recipe()).double()
        network.load_state_dict(search.supernet.weights_of(path))
        with torch.no_grad():
            losses[path] = functional.cross_entropy(network(held_out.x), held_out.y).item()
    assert len(set(losses.values())) > 5
    assert losses[derived] == pytest.approx(min(losses.values()), rel=1e-9)
    assert all(torch.equal(value, kept[n]) for n, value in search.supernet.state_dict().items())
    assert all(module.training for module in search.supernet.modules())


def test_finalists_are_compared_on_all_that_is_held_out() -> None:
    settings = RandomSharingSettings(samples=30, finalists=3, batch_size=6)
    search = search_of(RandomSharingSearch, settings, functional.cross_entropy)
    held_out, generator = batch(20), search._generator.clone_state()
    derived = search.derive(held_out)
    paths = list(dict.fromkeys(search.sample(30, generator)))
    order = torch.randperm(12, generator=generator)
    halves = [Batch(held_out.x[index], held_out.y[index]) for index in order.split(6)]
    with batch_statistics(search.supernet):
        first = search.path_losses(paths, halves[:1])
        both = search.path_losses(paths, halves)
    finalists = sorted(range(len(paths)), key=first.__getitem__)[:3]
    assert derived == paths[min(finalists, key=both.__getitem__)]
    assert derived != paths[finalists[0]]


def test_paths_that_are_not_allowed_are_passed_over() -> None:
    settings = RandomSharingSettings(samples=30, finalists=4)
    search = search_of(RandomSharingSearch, settings, functional.cross_entropy)
    held_out, generator = batch(20), search._generator.clone_state()
    paths = list(dict.fromkeys(search.sample(30, generator)))
    with batch_statistics(search.supernet):
        losses = dict(zip(paths, search.path_losses(paths, [held_out]), strict=True))
    ranked = sorted(paths, key=losses.__getitem__)
    search.allows = lambda path: ranked.index(path) >= 7
    assert losses[search.derive(held_out)] == pytest.approx(losses[ranked[7]])
    search.load(search_of(RandomSharingSearch, settings, functional.cross_entropy).state())
    search.allows = lambda path: False
    assert losses[search.derive(held_out)] == pytest.approx(losses[ranked[0]])


def test_fewer_paths_are_scored_before_the_last_epoch() -> None:
    settings = RandomSharingSettings(samples=50, epochs=2)
    search = search_of(RandomSharingSearch, settings, functional.cross_entropy)
    for epoch, count in ((1, 5), (2, 50)):
        search.begin_epoch(epoch)
        generator = search._generator.clone_state()
        with batch_statistics(search.supernet):
            losses = search.path_losses(drawn := search.sample(count, generator), [batch(1)])
        assert search.derive(batch(1)) == drawn[losses.index(min(losses))]


def test_a_space_of_one_architecture_leaves_nothing_to_learn() -> None:
    search = search_of(
        EnasSearch, EnasSettings(), functional.cross_entropy, operations=["nor_conv_3x3"]
    )
    search.step(batch(1), batch(2))
    (only,) = set(search.sample(3, torch.Generator().manual_seed(0)))
    assert search.derive(batch(2)) == only
