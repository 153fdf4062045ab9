"""Costs of a mix against those of plain networks; what is derived within limits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from random import Random

import pytest
import torch
from torch.nn import functional

from models.architecture import Architecture
from models.cost import cost
from models.families.cnn_cell import CnnCellSettings
from models.family import InfeasibleError
from models.recipe import Recipe
from models.supernets import Supernet, supernets
from models.task import Task
from search.objectives import Constraint
from search.space import SearchSpace
from search.strategies.darts import DartsSearch, DartsSettings
from search.strategies.gdas import GdasSearch, GdasSettings
from search.weight_sharing.bilevel import Batch, Bilevel
from search.weight_sharing.costs import OptionCosts, option_costs
from search.weight_sharing.limits import derive_within

TASK = Task("image_classification", (1, 8, 8), 3)
CELL = CnnCellSettings.model_validate(
    {"topology": "nasbench201", "nodes": 3, "cells": 1, "channels": 2}
)
SPACE = SearchSpace.of_architectures("cnn_cell", CELL, TASK)


def supernet_of(settings: CnnCellSettings = CELL) -> Supernet:
    torch.manual_seed(0)
    return supernets["cnn_cell"].build(settings, TASK)


def costs_of(architecture: Architecture) -> Mapping[str, float]:
    return cost(architecture, TASK, Recipe())


@pytest.mark.parametrize("metric", ["flops", "parameters"])
def test_a_mix_of_one_option_a_row_costs_what_the_plain_network_costs(metric: str) -> None:
    supernet = supernet_of()
    costs = option_costs(supernet, lambda architecture: costs_of(architecture)[metric])
    rng, counted = Random(0), 0
    while counted < 20:
        architecture = SPACE.sample(rng).architecture
        if "none" in (architecture.decisions["edge_0_1"], architecture.decisions["edge_1_2"]):
            continue  # the node between is on no path: what leads to it or away is not built
        counted += 1
        expected = costs.expected(supernet.mix_of(architecture)).item()
        assert expected == costs_of(architecture)[metric]


def test_rows_that_compete_count_by_the_share_that_is_taken() -> None:
    """In a DARTS cell two of the edges into a node are taken: in equal shares of all of them."""
    settings = CnnCellSettings.model_validate({"nodes": 2, "cells": 1, "channels": 2})
    supernet = supernet_of(settings)
    costs = option_costs(supernet, lambda architecture: costs_of(architecture)["parameters"])
    group = supernet.groups["normal"]
    column = group.options.index("sep_conv_3x3")
    convolution = 2 * (2 * 9 + 2 * 2 + 2 * 2)  # twice: depthwise, pointwise, scale and shift
    shares = [into == 2 or 2 / 3 for into in group.into]
    assert costs.extra["normal"][:, column].tolist() == pytest.approx(
        [float(share) * convolution for share in shares]
    )
    assert costs.extra["normal"][:, group.options.index("skip_connect")].eq(0).all()


@pytest.mark.parametrize(
    ("kind", "settings"), [(DartsSearch, DartsSettings), (GdasSearch, GdasSettings)]
)
def test_the_penalty_moves_the_mix_towards_cheaper_options(
    kind: type[Bilevel], settings: type[DartsSettings] | type[GdasSettings]
) -> None:
    expected = {}
    for target in (1.0, 1e12):
        chosen = settings.model_validate(
            {"architecture_learning_rate": 0.1, "penalty": {"target": target, "weight": 0.01}}
        )
        generator = torch.Generator().manual_seed(0)
        search = kind(supernet_of(), chosen, functional.cross_entropy, generator, SPACE)
        search.costs = option_costs(search.supernet, lambda found: costs_of(found)["flops"])
        before = search.expectations()["expected_flops"]
        search.begin_epoch(1)
        for seed in range(5):
            torch.manual_seed(seed)
            batch = Batch(torch.randn(8, 1, 8, 8), torch.randint(3, (8,)))
            search.step(batch, batch)
        expected[target] = search.expectations()["expected_flops"] / before
    assert expected[1.0] < 0.9 < expected[1e12]  # far below the target nothing is paid


def test_what_is_derived_keeps_the_limits_and_gives_up_little() -> None:
    """Against all cells: the likeliest one within the limit."""
    supernet = supernet_of()
    (group,) = supernet.groups.values()
    torch.manual_seed(3)
    mix = {"cell": torch.randn(3, len(group.options)).softmax(dim=1)}
    every = []
    for columns in product(range(len(group.options)), repeat=3):
        one = torch.eye(len(group.options))[list(columns)]
        architecture = supernet.derive({"cell": one})
        try:
            costs_of(architecture)
        except InfeasibleError:
            continue  # nothing joins input and output
        chance = mix["cell"][range(3), columns].log().sum().item()
        every.append((chance, architecture))
    every.sort(key=lambda pair: -pair[0])
    free = supernet.derive(mix)
    assert free == every[0][1]
    flops = sorted({costs_of(found)["flops"] for _, found in every})
    for limit in flops:
        bound = [Constraint(metric="flops", max=limit)]
        found = derive_within(supernet, mix, bound, costs_of)
        allowed = [pair for pair in every if costs_of(pair[1])["flops"] <= limit]
        assert costs_of(found)["flops"] <= limit
        place = [architecture for _, architecture in allowed].index(found)
        assert place < max(1, len(allowed) / 4)  # steps from the best find no worse than this
    with pytest.raises(InfeasibleError, match=r"nearest is not: flops .* is above"):
        derive_within(supernet, mix, [Constraint(metric="flops", max=flops[0] - 1)], costs_of)


def test_costs_are_the_same_after_a_state() -> None:
    costs = option_costs(supernet_of(), lambda found: costs_of(found)["flops"])
    again = OptionCosts.of(costs.tensors())
    assert again.base == costs.base and not costs.is_constant
    assert all(torch.equal(again.extra[name], part) for name, part in costs.extra.items())
