from collections import Counter
from random import Random
from typing import Any

import pytest
from scipy.stats import chisquare

from models.family import families
from models.recipe import TrainingSettings
from models.settings import named_settings
from models.task import Task
from search.counting import assignment_at
from search.engine.stages.candidates import CANDIDATE
from search.space import SearchSpace
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import strategies
from search.trial import Candidate, Trial, TrialState
from search.union import UnionSpace

TASK = Task("image_classification", (1, 8, 8), 10)
FALSE_ALARM = 1e-6
SPACES: dict[str, dict[str, Any]] = {
    "cnn_cell": {
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["skip_connect", "nor_conv_3x3"],
        "channels": {"choice": [4, 8]},
        "cells": 1,
        "stem_stride": 1,
        "head_pool": 1,
    },
    "cnn_stages": {
        "stages": 1,
        "block": "conv",
        "width": {"choice": [8, 16]},
        "depth": 1,
        "kernel": 3,
        "stride": 1,
        "expansion": 1,
        "squeeze_excite": 0.0,
        "activation": "relu",
        "norm": {"choice": ["batch", "none"]},
        "head_pool": 1,
    },
    "transformer": {
        "layers": 1,
        "heads": 1,
        "width": {"choice": [8, 16, 32]},
        "feed_forward": 1,
        "mixer": "attention",
        "activation": "relu",
        "norm": "pre",
        "positions": "learned",
        "readout": "mean",
        "dropout": 0.0,
        "patch": 4,
    },
}
TRAINING: dict[str, Any] = {
    "optimizer": {"choice": ["momentum", "adam"]},
    "momentum": {"choice": [0.8, 0.9]},
    "batch_norm": {"choice": [True, False]},
}


def space_of(name: str, training: dict[str, Any] = TRAINING) -> SearchSpace:
    settings = named_settings(families[name].Settings, "family", name)
    recipe = TrainingSettings.model_validate(training)
    parsed = settings.model_validate({"family": name, **SPACES[name]})
    return SearchSpace.of_family(name, families[name], parsed, recipe, TASK)


@pytest.fixture(scope="module")
def members() -> dict[str, SearchSpace]:
    return {name: space_of(name) for name in SPACES}


@pytest.fixture(scope="module")
def union(members: dict[str, SearchSpace]) -> UnionSpace:
    return UnionSpace(members)


def points(space: SearchSpace) -> list[Candidate]:
    return [space.candidate(assignment_at(space.decisions, i)) for i in range(int(space.size))]


def test_its_points_are_those_of_its_members_each_once(
    members: dict[str, SearchSpace], union: UnionSpace
) -> None:
    """3 recipes (momentum by two values, adam) by 2 of batch_norm where that counts: cells 4 x 6,
    stages 2 x (6 + 3), a transformer 3 x 3.
    """
    apart = [candidate for member in members.values() for candidate in points(member)]
    assert len(apart) == 4 * 6 + 2 * (6 + 3) + 3 * 3
    together = points(union)
    assert union.size == len(together) == len(set(together))
    assert set(together) == set(apart)
    for candidate in apart:
        own = members[candidate.architecture.family]
        assert union.keys(candidate) == own.keys(candidate)
        assert union.candidate(union.values(candidate)) == candidate
        assert union.completed(candidate.architecture, Random(0)).architecture == (
            candidate.architecture
        )


def test_what_families_decide_alike_is_one_decision(union: UnionSpace) -> None:
    when = {decision.name: decision.when for decision in union.decisions}
    assert when["training.optimizer"] == ()
    assert when["training.momentum"] == (("training.optimizer", ("momentum", "nesterov")),)
    assert when["cnn_cell.training.batch_norm"] == (("family", ("cnn_cell",)),)
    assert when["cnn_stages.training.batch_norm"] == (
        ("family", ("cnn_stages",)),
        ("cnn_stages.norm", ("batch",)),
    )
    assert "training.batch_norm" not in when and "transformer.training.batch_norm" not in when


def test_what_only_some_families_decide_is_conditional_on_them() -> None:
    kept = ("cnn_cell", "transformer")
    union = UnionSpace({name: space_of(name) for name in kept})
    when = {decision.name: decision.when for decision in union.decisions}
    assert when["training.batch_norm"] == (("family", ("cnn_cell",)),)


def test_families_are_drawn_alike_and_a_step_can_change_them(union: UnionSpace) -> None:
    rng = Random(0)
    drawn = [union.sample(rng) for _ in range(600)]
    counts = Counter(candidate.architecture.family for candidate in drawn)
    assert chisquare(list(counts.values())).pvalue > FALSE_ALARM and len(counts) == 3
    for first, second in zip(drawn[:50], drawn[50:100], strict=True):
        child = union.crossover(first, second, rng)
        assert union.candidate(union.values(child)) == child
        parents = {first.architecture.family, second.architecture.family}
        assert child.architecture.family in parents
        around = {c.architecture.family for c in union.neighbours(first)}
        assert around == set(SPACES)
        assert len(union.encode(first)) == len(union.encode(second))


def told_score(candidate: Candidate) -> float:
    """A transformer is better than all others, the wider the better."""
    values = candidate.architecture.decisions
    return int(values["width"]) / 32 if candidate.architecture.family == "transformer" else 0.1


@pytest.mark.parametrize("name", candidate_strategies())
def test_strategies_take_it(name: str, union: UnionSpace) -> None:
    strategy = strategies[name](union, strategies[name].Settings(), 0)
    asked: list[Candidate] = []
    for number in range(20 if name == "bananas" else 8):
        candidate = strategy.ask(number, ())
        assert isinstance(candidate, Candidate)
        assert union.candidate(union.values(candidate)) == candidate
        asked.append(candidate)
        keys, score = union.keys(candidate), (told_score(candidate),)
        strategy.tell(
            Trial(number, CANDIDATE, candidate, TrialState.COMPLETED, *keys, fitness=score)
        )
    assert len({candidate.architecture.family for candidate in asked}) > 1
    if name == "bananas":  # of the best family's 9 points 20 draws find 5 (of 9, 7 hits in mean)
        best = {candidate for candidate in asked if candidate.architecture.family == "transformer"}
        assert len(best) >= 7
