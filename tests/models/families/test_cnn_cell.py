"""The family `cnn_cell`: its requests, its spaces, the networks that it builds."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.architecture import Architecture
from models.cells.darts import kinds
from models.cost import cost
from models.domains import Range
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task
from tests.models.support.sampling import cells, draw

FAMILY = families["cnn_cell"]
DIGITS = Task("image_classification", (1, 8, 8), 10)
CIFAR = Task("image_classification", (3, 32, 32), 10)
OPERATIONS = {
    "darts": ["skip_connect", "sep_conv_3x3", "dil_conv_5x5", "max_pool_3x3"],
    "nasbench201": ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"],
}


def settings(**values: object) -> Any:
    return FAMILY.Settings.model_validate(values)


def network(architecture: Architecture, task: Task = DIGITS, **recipe: object) -> nn.Module:
    return FAMILY.build(architecture, task, Recipe.model_validate(recipe))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def nasbench201(*names: str, channels: int = 16, stage_cells: int = 5) -> Architecture:
    """A cell by its operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    edges = ["0_1", "0_2", "1_2", "0_3", "1_3", "2_3"]
    return Architecture(
        "cnn_cell",
        {
            "topology": "nasbench201",
            "nodes": 4,
            "channels": channels,
            "cells": stage_cells,
            **{f"edge_{edge}": name for edge, name in zip(edges, names, strict=True)},
        },
    )


def darts(nodes: int, number: int, channels: int, **terms: tuple[str, str, str]) -> Architecture:
    """Cells by `kind_node=(inputs, first, second)`."""
    decisions: dict[str, Any] = {
        "topology": "darts",
        "nodes": nodes,
        "channels": channels,
        "cells": number,
    }
    for name, (inputs, first, second) in terms.items():
        kind, node = name.split("_")
        decisions[f"{kind}_node_{node}_inputs"] = inputs
        decisions[f"{kind}_node_{node}_first"] = first
        decisions[f"{kind}_node_{node}_second"] = second
    return Architecture("cnn_cell", decisions)


# Requests


def test_the_request_of_the_contract_works_as_it_is() -> None:
    parsed = settings(
        nodes=3,
        operations=["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3"],
        channels={"choice": [8, 16]},
        cells={"low": 1, "high": 3},
    )
    assert parsed.topology == "darts"
    assert parsed.cells == Range(1, 3)
    decisions = FAMILY.decisions(parsed, DIGITS)
    for seed in range(20):
        architecture = draw("cnn_cell", decisions, Random(seed))
        reduced = any(name.startswith("reduction") for name in architecture.decisions)
        assert reduced == (architecture.decisions["cells"] > 1)


@pytest.mark.parametrize(
    ("topology", "nodes", "channels", "number", "names"),
    [("darts", 3, 8, 3, 8), ("nasbench201", 4, 16, 1, 5)],
)
def test_the_defaults_are_those_of_the_topology(
    topology: str, nodes: int, channels: int, number: int, names: int
) -> None:
    parsed = settings(topology=topology)
    assert (parsed.nodes, parsed.cells, parsed.channels) == (nodes, number, channels)
    assert len(parsed.operations) == names
    assert settings(**parsed.model_dump(mode="json")) == parsed


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"operations": []}, "operations", "at least 1 item"),
        ({"operations": ["sep_conv_3x3", "conv"]}, "operations", r"\['conv'\].*allowed are avg_p"),
        ({"operations": ["nor_conv_3x3"]}, "operations", "not operations of darts"),
        (
            {"topology": "nasbench201", "operations": ["sep_conv_3x3"]},
            "operations",
            "not operations of nasbench201, allowed are avg_pool_3x3, none, nor_conv_1x1",
        ),
        ({"operations": ["none", "none"]}, "operations", "listed once"),
        ({"operations": "none"}, "operations", "tuple"),
        ({"topology": "nasnet"}, "topology", "'darts' or 'nasbench201'"),
        ({"topology": {"choice": ["darts"]}}, "topology", "'darts' or 'nasbench201'"),
        ({"nodes": 0}, "nodes", "greater than or equal to 1"),
        ({"nodes": {"low": 3, "high": 900}}, "nodes", "less than or equal to 8"),
        ({"topology": "nasbench201", "nodes": 1}, "nodes", "at least 2 nodes"),
        ({"cells": 0}, "cells", "greater than or equal to 1"),
        ({"cells": {"low": 3, "high": 1}}, "cells", "low must not exceed high"),
        ({"channels": 1}, "channels", "greater than or equal to 2"),
        ({"channels": 16.0}, "channels", "valid integer"),
        ({"channels": {"choice": []}}, "channels", "at least 1 item"),
        ({"cell": 3}, "cell", "Extra inputs are not permitted"),
        ({"stem_stride": 3}, "stem_stride", "Input should be 1, 2 or 4"),
        ({"head_pool": 0}, "head_pool", "greater than or equal to 1"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_allowed(
    wrong: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        settings(**wrong)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    ("request_", "task", "field", "message"),
    [
        ({}, Task("tabular_classification", (8,), 2), "family", "got tabular_classification"),
        ({"operations": ["none"]}, DIGITS, "operations", "other than none"),
        ({"cells": 3}, Task("image_classification", (1, 2, 9), 2), "cells", "3 pixels.*got 2x9"),
        (
            {"topology": "nasbench201"},
            Task("image_classification", (1, 2, 2), 2),
            "cells",
            "halves the image 2 times, which needs at least 3 pixels a side, got 2x2",
        ),
        ({"stem_stride": 4}, DIGITS, "cells", "got 2x2 after a stem of stride 4"),
        ({"head_pool": 3}, DIGITS, "head_pool", "3 needs as many pixels a side .* got 2x2"),
    ],
)
def test_a_request_that_no_network_satisfies_is_infeasible(
    request_: dict[str, Any], task: Task, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        FAMILY.decisions(settings(**request_), task)
    assert caught.value.field == field


def test_a_range_of_cells_is_feasible_as_far_as_one_of_them_is() -> None:
    tiny = Task("image_classification", (1, 2, 2), 2)
    for seed in range(10):
        architecture = cells(tiny, seed, cells={"low": 1, "high": 4}, operations=["skip_connect"])
        if architecture.decisions["cells"] < 3:
            assert network(architecture, tiny)(torch.zeros(2, 1, 2, 2)).shape == (2, 2)
        else:
            with pytest.raises(InfeasibleError, match="needs at least 3 pixels"):
                network(architecture, tiny)


# Spaces


def test_the_space_of_nasbench201_has_its_15625_cells() -> None:
    decisions = FAMILY.decisions(settings(topology="nasbench201"), CIFAR)
    assert math.prod(decision.domain.size for decision in decisions) == 15_625


def test_the_space_of_darts_has_its_billion_cells() -> None:
    """Section 3.1 of the paper: prod over k = 1..4 of (k + 1) k / 2 times 7^2 each, per cell."""
    operations = [name for name in settings().operations if name != "none"]
    decisions = FAMILY.decisions(settings(nodes=4, operations=operations), CIFAR)
    size = math.prod(
        decision.domain.size for decision in decisions if decision.name.startswith("normal")
    )
    assert size == math.prod((k + 1) * k // 2 * 7**2 for k in range(1, 5))


def test_reductions_stand_at_a_third_and_two_thirds_of_the_depth() -> None:
    assert [i for i, kind in enumerate(kinds(20)) if kind == "reduction"] == [6, 13]
    assert [i for i, kind in enumerate(kinds(8)) if kind == "reduction"] == [2, 5]
    assert kinds(3) == ["normal", "reduction", "reduction"]
    assert kinds(1) == ["normal"]


def test_nodes_that_a_smaller_cell_lacks_are_not_decided() -> None:
    for topology in ("darts", "nasbench201"):
        for seed in range(8):
            found = cells(DIGITS, seed, topology=topology, nodes={"choice": [2, 4]}, cells=1)
            nodes = found.decisions["nodes"]
            edges = sum(name.startswith(("edge", "normal")) for name in found.decisions)
            assert edges == (3 * nodes if topology == "darts" else nodes * (nodes - 1) // 2)


@pytest.mark.parametrize(
    ("side", "topology", "strides", "pools"),
    [
        (8, "darts", 1, {"choice": [1, 2]}),  # 8, 4, 2
        (28, "darts", {"choice": [1, 2]}, {"choice": [1, 2, 4]}),  # 28, 14, 7 or 14, 7, 4
        (32, "nasbench201", {"choice": [1, 2]}, {"choice": [1, 2, 4]}),
        (96, "darts", {"choice": [2, 4]}, {"choice": [1, 2, 4]}),  # cells on 96 pixels are slow
        (3, "nasbench201", 1, 1),
    ],
)
def test_what_is_left_open_around_the_cells_suits_the_image(
    side: int, topology: str, strides: object, pools: object
) -> None:
    task = Task("image_classification", (1, side, side), 10)
    left_open = settings(topology=topology)
    filled = left_open.for_task(task)
    assert filled.model_dump(mode="json") == {
        **left_open.model_dump(mode="json"),
        "stem_stride": strides,
        "head_pool": pools,
    }
    said = settings(topology=topology, stem_stride=1, head_pool=1)
    assert said.for_task(task) == said == left_open
    with torch.device("meta"):  # every one of them is a network
        for seed in range(10):
            drawn = cells(
                task, seed, **filled.model_dump(mode="json") | {"operations": OPERATIONS[topology]}
            )
            assert network(drawn, task)(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_what_shapes_a_supernet_has_one_value() -> None:
    filled = settings().for_task(CIFAR, shares_weights=True)
    assert (filled.stem_stride, filled.head_pool) == (1, 4)


# Networks


def test_parameters_of_nasbench201_are_those_that_the_benchmark_lists() -> None:
    """Of the benchmark's CIFAR-10 table (16 channels, 5 cells a stage): every edge a 3x3
    convolution, every edge a skip, the cell with the best test accuracy (94.37 %).
    """
    three, one, skip = "nor_conv_3x3", "nor_conv_1x1", "skip_connect"
    listed = {
        (three,) * 6: 1_531_546,
        (skip,) * 6: 73_306,
        (three, three, three, skip, three, one): 1_073_466,
    }
    for names, parameters in listed.items():
        assert count(network(nasbench201(*names), CIFAR)) == parameters


def test_parameters_of_nasbench201_by_hand() -> None:
    """A cell of a 1x1 convolution at 0-1 and a 3x3 one at 1-3, C = 4, one cell a stage."""
    none, one, three = "none", "nor_conv_1x1", "nor_conv_3x3"
    architecture = nasbench201(one, none, none, none, three, none, channels=4, stage_cells=1)
    expected = 9 * 4 + 2 * 4  # stem of one input channel, without bias before its normalisation
    for c in (4, 8, 16):
        expected += (c * c + 2 * c) + (9 * c * c + 2 * c)
    for c in (4, 8):  # c -> 2c: two 3x3 convolutions with normalisation, 1x1 shortcut
        expected += (9 * c * 2 * c + 4 * c) + (9 * 4 * c * c + 4 * c) + 2 * c * c
    expected += 2 * 16 + 16 * 10 + 10
    assert count(network(architecture)) == expected


def test_parameters_of_darts_by_hand() -> None:
    """Two cells of one node, C = 4: a normal cell, then a reduction cell with 2C channels."""
    architecture = darts(
        1,
        2,
        4,
        normal_2=("0-1", "sep_conv_3x3", "skip_connect"),
        reduction_2=("0-1", "dil_conv_5x5", "skip_connect"),
    )
    stem = 9 * 12 + 2 * 12  # 3 C channels
    normal = 2 * (12 * 4 + 2 * 4) + 2 * (9 * 4 + 4 * 4 + 2 * 4)
    inputs = (12 * 8 + 2 * 8) + (4 * 8 + 2 * 8)  # the stem's 3C and the normal cell's C -> 2C
    reduction = inputs + (25 * 8 + 8 * 8 + 2 * 8) + (8 * 8 + 2 * 8)
    assert count(network(architecture)) == stem + normal + reduction + 8 * 10 + 10


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_the_same_seed_builds_the_same_weights(topology: str) -> None:
    architecture = cells(DIGITS, 3, topology=topology)
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(network(architecture).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_the_corners_of_a_space_build(topology: str) -> None:
    chosen = settings(
        topology=topology,
        nodes={"low": 2, "high": 5},
        cells={"low": 1, "high": 4},
        channels={"choice": [2, 7]},
        operations=["skip_connect", "avg_pool_3x3"],
    )
    decisions = FAMILY.decisions(chosen, CIFAR)
    for corner in (0, -1):
        values: dict[str, Any] = {}
        for decision in decisions:
            if decision.is_active(values):
                values[decision.name] = decision.domain.values()[corner]
        built = network(Architecture("cnn_cell", values), CIFAR, dropout=0.2)
        assert built(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_random_networks_train_every_parameter_they_have(topology: str, batch_norm: bool) -> None:
    task = Task("image_classification", (2, 6, 5), 3)
    rng, built = Random(0), 0
    decisions = FAMILY.decisions(
        settings(
            topology=topology,
            channels={"low": 3, "high": 5},
            cells={"low": 1, "high": 3},
            nodes={"low": 2, "high": 4},
        ),
        task,
    )
    torch.manual_seed(0)
    x, y = torch.randn(8, 2, 6, 5), torch.arange(8) % 3
    for _ in range(60):
        architecture = draw("cnn_cell", decisions, rng)
        try:
            model = network(architecture, task, batch_norm=batch_norm)
        except InfeasibleError as error:
            assert "none" in architecture.decisions.values()
            assert "zero" in str(error) or "no path" in str(error)
            continue
        built += 1
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        nn.functional.cross_entropy(model(x), y).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        assert model(x).isfinite().all()
    assert built >= 40


def test_what_is_zero_or_unused_is_not_built() -> None:
    none, skip, conv = "none", "skip_connect", "nor_conv_3x3"
    dead_source = nasbench201(none, none, none, skip, conv, conv)  # nodes 1 and 2 are zero
    dead_target = nasbench201(conv, conv, none, skip, none, none)  # nobody uses nodes 1 and 2
    alone = nasbench201(none, none, none, skip, none, none)
    assert len({count(network(a)) for a in (dead_source, dead_target, alone)}) == 1
    reads_the_stem = darts(
        1,
        2,
        4,
        normal_2=("0-1", "sep_conv_3x3", "sep_conv_3x3"),
        reduction_2=("0-1", "sep_conv_3x3", "none"),
    )
    names = {name.split(".")[0] for name in network(reads_the_stem).state_dict()}
    assert names == {"stem", "cell_1", "classifier"}


@pytest.mark.parametrize(
    ("architecture", "field", "message"),
    [
        (nasbench201(*["none"] * 6), "edge_0_3", "no path"),
        (nasbench201("nor_conv_1x1", *["none"] * 5), "edge_0_3", "no path"),
        (
            darts(1, 1, 4, normal_2=("0-1", "none", "none")),
            "normal_node_2_first",
            "every node of the normal cell is zero",
        ),
        (darts(1, 1, 4), "normal_node_2_inputs", "one of 0-1, got None"),
        (darts(2, 1, 4, normal_2=("0-3", "none", "none")), "normal_node_2_inputs", "got '0-3'"),
        (darts(1, 1, 4, normal_2=("0-1", "nor_conv_1x1", "none")), "normal_node_2_first", "nor_"),
        (Architecture("cnn_cell", {"topology": "nasnet"}), "topology", "one of darts, nasbench"),
        (darts(1, 0, 4), "cells", "positive integer, got 0"),
    ],
)
def test_decisions_that_make_no_network_are_refused(
    architecture: Architecture, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        network(architecture)
    assert caught.value.field == field


def test_dropout_stands_before_the_classifier() -> None:
    model = network(cells(DIGITS, 1), dropout=0.9)
    x = torch.randn(2, 1, 8, 8)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.get_submodule("dropout").train()
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_channels_last_trains_by_the_gradients_of_contiguous(topology: str) -> None:
    torch.manual_seed(0)
    architecture = cells(DIGITS, 4, topology=topology, channels=4, operations=OPERATIONS[topology])
    plain, fast = (network(architecture).double() for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    fast.to(memory_format=torch.channels_last)
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.double), torch.arange(6)
    for model, images in ((plain, x), (fast, x.contiguous(memory_format=torch.channels_last))):
        nn.functional.cross_entropy(model(images), y).backward()
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_a_head_with_a_grid_tells_where_things_are(topology: str) -> None:
    """A stem of equal weights and cells of skips: a mirrored image has the mirrored features."""
    skip = "skip_connect"
    plain = nasbench201(*[skip] * 6, channels=4, stage_cells=1)
    if topology == "darts":
        plain = darts(1, 1, 4, normal_2=("0-1", skip, skip))
    torch.manual_seed(0)
    image = torch.randn(1, 1, 8, 8)
    for head_pool in (1, 2):
        framed = Architecture("cnn_cell", {**plain.decisions, "head_pool": head_pool})
        built = network(framed).eval()
        torch.nn.init.constant_(built.stem[0].weight, 0.1)  # type: ignore[index, arg-type]
        with torch.no_grad():
            logits, mirrored = built(image), built(image.flip(3))
        if topology == "darts":  # reductions of nasbench201 have weights that are not symmetric
            assert torch.allclose(logits, mirrored, atol=1e-5) == (head_pool == 1)
        width = built.classifier.in_features  # type: ignore[union-attr]
        assert width == head_pool**2 * (4 if topology == "darts" else 16)


def test_a_stem_with_a_stride_costs_a_quarter() -> None:
    """All that is convolved is: the cells of NAS-Bench-201 and their stem, as they are counted."""
    plain = nasbench201(*["nor_conv_3x3"] * 6, channels=4, stage_cells=1)
    costs = [
        cost(Architecture("cnn_cell", {**plain.decisions, "stem_stride": stride}), CIFAR, Recipe())
        for stride in (1, 2)
    ]
    assert costs[0]["parameters"] == costs[1]["parameters"]
    convolved = [found["flops"] - 2 * 16 * 10 for found in costs]
    assert convolved[0] == 4 * convolved[1]


def test_an_architecture_without_a_frame_is_the_one_with_ones() -> None:
    plain = nasbench201(*["nor_conv_3x3"] * 6)
    ones = Architecture("cnn_cell", {**plain.decisions, "stem_stride": 1, "head_pool": 1})
    framed = Architecture("cnn_cell", {**plain.decisions, "stem_stride": 1, "head_pool": 2})
    assert FAMILY.canonical(plain).key == FAMILY.canonical(ones).key
    assert FAMILY.canonical(plain).key != FAMILY.canonical(framed).key
    assert network(plain).state_dict().keys() == network(ones).state_dict().keys()
