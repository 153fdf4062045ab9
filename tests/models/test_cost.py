"""Parameters and FLOPs before training, against closed forms."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.architecture import Architecture
from models.cost import cost
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.repeated import each_once
from models.task import Task
from tests.models.support.sampling import cells, draw
from tests.support.instructions import instructions

DIGITS = Task("image_classification", (1, 8, 8), 10)
CIFAR = Task("image_classification", (3, 32, 32), 10)


def nasbench201(operation: str, channels: int = 16, stage_cells: int = 5) -> Architecture:
    edges = ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")
    fixed = {
        "topology": "nasbench201",
        "nodes": 4,
        "channels": channels,
        "cells": stage_cells,
    }
    return Architecture("cnn_cell", {**fixed, **{f"edge_{edge}": operation for edge in edges}})


def test_a_network_of_3x3_convolutions_costs_what_its_closed_form_says() -> None:
    """Six convolutions a cell; images of 32, 16 and 8 pixels a side; two FLOPs a multiply-add."""
    parameters = 27 * 16 + 2 * 16
    multiply_adds = 27 * 16 * 32 * 32
    for c, side in ((16, 32), (32, 16), (64, 8)):
        parameters += 5 * 6 * (9 * c * c + 2 * c)
        multiply_adds += 5 * 6 * 9 * c * c * side * side
    for c, side in ((16, 16), (32, 8)):  # c -> 2 c at half the side
        parameters += (18 * c * c + 4 * c) + (36 * c * c + 4 * c) + 2 * c * c
        multiply_adds += (18 + 36 + 2) * c * c * side * side
    parameters += 2 * 64 + 64 * 10 + 10
    multiply_adds += 64 * 10
    found = cost(nasbench201("nor_conv_3x3"), CIFAR, Recipe())
    assert found == {"parameters": parameters, "flops": 2 * multiply_adds}
    assert found["parameters"] == 1_531_546  # as the benchmark lists it


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_cost_is_that_of_the_real_network(topology: str, batch_norm: bool) -> None:
    recipe = Recipe(batch_norm=batch_norm, dropout=0.3)
    for seed in range(4):
        architecture = cells(
            DIGITS, seed, topology=topology, operations=["skip_connect", "avg_pool_3x3"], nodes=4
        )
        network = families["cnn_cell"].build(architecture, DIGITS, recipe).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, 8, 8))
        assert cost(architecture, DIGITS, recipe) == {
            "parameters": sum(p.numel() for p in network.parameters()),
            "flops": counter.get_total_flops(),
        }


@pytest.mark.parametrize(
    "settings",
    [
        {"family": "cnn_cell", "cells": 9, "nodes": 2, "channels": 4},
        {"family": "cnn_cell", "topology": "nasbench201", "cells": 4, "channels": 4},
        {"family": "cnn_stages", "stages": 3, "depth": {"low": 2, "high": 4}, "width": 8},
    ],
    ids=["darts", "nasbench201", "stages"],
)
def test_parts_that_are_alike_count_as_often_as_they_are_there(settings: dict[str, Any]) -> None:
    family = families[settings["family"]]
    decisions = family.decisions(family.Settings.model_validate(settings), CIFAR)
    for seed in range(3):
        architecture = draw(settings["family"], decisions, Random(seed))
        network = family.build(architecture, CIFAR, Recipe()).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 32, 32))
        assert cost(architecture, CIFAR, Recipe()) == {
            "parameters": sum(p.numel() for p in network.parameters()),
            "flops": counter.get_total_flops(),
        }


def test_a_deep_network_is_made_of_no_more_parts_than_a_shallow_one() -> None:
    made = []
    for count in (12, 63):
        architecture = cells(CIFAR, 0, cells=count, nodes=4, channels=4)
        with torch.device("meta"), each_once() as parts:
            families["cnn_cell"].build(architecture, CIFAR, Recipe())
        made.append(set(parts))
    assert made[0] == made[1]


def test_what_is_too_large_to_build_is_counted_all_the_same() -> None:
    found = cost(nasbench201("nor_conv_3x3", channels=1024, stage_cells=8), CIFAR, Recipe())
    assert found["parameters"] > 8e9  # 32 GB of float32


def test_an_infeasible_network_has_no_cost() -> None:
    with pytest.raises(InfeasibleError, match="no path"):
        cost(nasbench201("none"), DIGITS, Recipe())


def test_an_answer_is_remembered_and_cannot_be_changed_from_outside() -> None:
    architecture = cells(DIGITS, 9, operations=["sep_conv_3x3"])
    first = cost(architecture, DIGITS, Recipe(learning_rate=0.1))
    expected = dict(first)
    first["flops"] = 0
    again = partial(cost, architecture, DIGITS, Recipe(learning_rate=0.2))
    assert again() == expected
    assert instructions(again) < 10_000  # a network is made of a hundred times as many
    assert cost(architecture, DIGITS, Recipe(batch_norm=False)) != expected


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_a_recurrent_network_costs_what_its_closed_form_says(cell: str, gates: int) -> None:
    """Two layers, both directions; 9 steps of 3 channels, a state of 5."""
    values = {"cell": cell, "layers": 2, "hidden": 5, "direction": "bidirectional", "dropout": 0.0}
    found = cost(Architecture("rnn", values), Task("forecasting", (9, 3), 4), Recipe())
    weights = 2 * gates * 5 * (3 + 5) + 2 * gates * 5 * (2 * 5 + 5)
    assert found["parameters"] == weights + 8 * gates * 5 + (2 * 5 + 1) * 4
    assert found["flops"] == 2 * (9 * weights + 2 * 5 * 4)


def test_the_darts_cell_costs_what_it_does_step_by_step() -> None:
    values = {"cell": "darts", "layers": 1, "hidden": 5, "direction": "forward", "nodes": 2}
    for node, source in ((1, 0), (2, 1)):
        values |= {f"node_{node}_source": source, f"node_{node}_activation": "relu"}
    architecture, task = Architecture("rnn", values), Task("language_modeling", (9,), 7, 7)
    weights = (5 + 5 + 2 * 5) * 10
    with FlopCounterMode(display=False) as counter:
        families["rnn"].build(architecture, task, Recipe())(task.zeros(1))
    assert cost(architecture, task, Recipe()) == {
        "parameters": 7 * 5 + weights + 6 * 7,
        "flops": 2 * 9 * (weights + 5 * 7),
    }
    assert counter.get_total_flops() == 2 * 9 * (weights + 5 * 7)


def test_a_transformer_costs_what_its_closed_form_says() -> None:
    """Width 8, inner width 16, 9 steps and a class token; attention, convolution, pooling."""
    names = ("attention", "convolution", "pooling")
    values = {f"layer_{layer}_mixer": name for layer, name in enumerate(names, 1)}
    values |= {"layer_2_kernel": 3, "layer_3_kernel": 7, "layers": 3, "width": 8, "heads": 4}
    values |= {"feed_forward": 2, "activation": "relu", "norm": "post", "dropout": 0.1}
    values |= {"positions": "sinusoidal", "readout": "token"}
    found = cost(Architecture("transformer", values), Task("forecasting", (9, 3), 4), Recipe())
    blocks = 4 * 8 * 8 + (3 * 8 + 8 * 8) + 3 * 2 * 8 * 16
    other = 5 * 8 + 2 * 8 + 3 * (16 + 8) + 7 * 2 * 8 + 8  # biases, normalisation, class token
    assert found["parameters"] == 3 * 8 + blocks + other + 9 * 4
    assert found["flops"] == 2 * (9 * 3 * 8 + 10 * blocks + 2 * 10 * 10 * 8 + 8 * 4)


def test_equal_blocks_count_as_often_as_they_are_there() -> None:
    """Two kernels and attention, in turn: torch's own counter runs every block."""
    names = ("attention", "convolution", "convolution", "attention", "convolution", "pooling")
    values: dict[str, object] = {f"layer_{layer}_mixer": n for layer, n in enumerate(names, 1)}
    values |= {"layer_2_kernel": 3, "layer_3_kernel": 7, "layer_5_kernel": 3, "layer_6_kernel": 3}
    values |= {"layers": 6, "width": 8, "heads": 2, "feed_forward": 2, "activation": "gelu"}
    values |= {"norm": "pre", "dropout": 0.0, "positions": "rotary", "readout": "mean"}
    architecture, task = Architecture("transformer", values), Task("forecasting", (9, 3), 4)
    network = families["transformer"].build(architecture, task, Recipe())
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        network.to("meta")(task.zeros(1, "meta"))
    assert cost(architecture, task, Recipe())["flops"] == counter.get_total_flops()
