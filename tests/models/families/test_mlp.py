from __future__ import annotations

import itertools
import math
from statistics import NormalDist
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from models.architecture import Architecture
from models.domains import Choice, Range, Scalar, as_domain
from models.exporters.source import source
from models.family import InfeasibleError, families
from models.operations.numeric_embedding import Periodic, Piecewise
from models.recipe import Recipe
from models.supernets import supernets
from models.task import Task

FAMILY = families["mlp"]
TASK = Task("tabular_classification", (13,), 3)


def mlp(*layers: tuple[int, str, bool], norm: str = "none", dropout: float = 0.0) -> Architecture:
    """Layers as (width, activation, residual)."""
    values: dict[str, Scalar] = {"depth": len(layers)}
    if layers:
        values |= {"norm": norm, "dropout": dropout}
    for number, layer in enumerate(layers, 1):
        for name, value in zip(("width", "activation", "residual"), layer, strict=True):
            values[f"layer_{number}_{name}"] = value
    return Architecture("mlp", values)


def test_without_links_it_is_the_plain_network() -> None:
    architecture = mlp((20, "relu", False), (7, "gelu", False), norm="batch")
    network = FAMILY.build(architecture, TASK, Recipe())
    plain = nn.Sequential(
        nn.Linear(13, 20, bias=False),
        nn.BatchNorm1d(20),
        nn.ReLU(),
        nn.Linear(20, 7, bias=False),
        nn.BatchNorm1d(7),
        nn.GELU(),
        nn.Linear(7, 3),
    )
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        ours.data.copy_(theirs.data)
    x = torch.randn(9, 13)
    torch.testing.assert_close(network(x), plain(x))


def test_a_link_adds_the_input_and_maps_it_where_the_widths_differ() -> None:
    architecture = mlp((8, "tanh", True), (8, "tanh", True), norm="layer")
    network: Any = FAMILY.build(architecture, TASK, Recipe())
    x = torch.randn(5, 13)
    first, second = network.layer_1, network.layer_2
    hidden = torch.tanh(first.norm(first.linear(x))) + x @ first.shortcut.weight.T
    hidden = hidden + torch.tanh(second.norm(second.linear(hidden)))
    torch.testing.assert_close(network(x), network.output(hidden))


def test_no_layer_is_a_linear_map_and_the_recipe_can_switch_batch_normalisation_off() -> None:
    linear = FAMILY.build(mlp(), Task("tabular_regression", (5,), 2), Recipe())
    assert {name: tuple(p.shape) for name, p in linear.named_parameters()} == {
        "output.weight": (2, 5),
        "output.bias": (2,),
    }
    architecture = mlp((6, "relu", False), norm="batch")
    without = FAMILY.build(architecture, TASK, Recipe(batch_norm=False))
    kinds = {type(module) for module in without.modules()}
    assert nn.BatchNorm1d not in kinds and "layer_1.linear.bias" in without.state_dict()


def test_decisions_are_conditional_on_the_depth() -> None:
    settings = FAMILY.Settings.model_validate({"depth": {"low": 0, "high": 2}, "width": 4})
    decisions = {d.name: d for d in FAMILY.decisions(settings, TASK)}
    assert decisions["depth"].domain == Range(0, 2)
    assert decisions["layer_1_width"].domain == Choice((4,))
    assert decisions["norm"].when == decisions["layer_1_width"].when == (("depth", (1, 2)),)
    assert decisions["layer_2_residual"].when == (("depth", (2,)),)
    fixed = FAMILY.Settings.model_validate({"depth": 1})
    assert not any(d.when for d in FAMILY.decisions(fixed, TASK))


def test_a_dropout_of_zero_is_one_architecture_however_it_is_written() -> None:
    one, other = mlp((4, "relu", False)), mlp((4, "relu", False), dropout=0)
    assert FAMILY.canonical(one).key == FAMILY.canonical(other).key
    assert FAMILY.canonical(one) != FAMILY.canonical(mlp((4, "relu", True)))


@pytest.mark.parametrize(
    ("architecture", "field", "message"),
    [
        (Architecture("mlp", {"depth": -1}), "depth", "integer of at least 0, got -1"),
        (mlp((0, "relu", False)), "layer_1_width", "positive integer, got 0"),
        (mlp((4, "sigmoid", False)), "layer_1_activation", "one of relu, .* got 'sigmoid'"),
        (mlp((4, "relu", 1)), "layer_1_residual", "true or false, got 1"),
        (mlp((4, "relu", True), norm="group"), "norm", "one of none, batch, layer, got 'group'"),
        (mlp((4, "relu", True), dropout=1.0), "dropout", "0..1, without 1, got 1.0"),
    ],
)
def test_decisions_that_make_no_network_are_refused(
    architecture: Architecture, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        FAMILY.build(architecture, TASK, Recipe())
    assert caught.value.field == field


def test_the_text_reads_as_a_person_would_write_it() -> None:
    architecture = mlp((32, "silu", False), (32, "relu", True), norm="batch", dropout=0.1)
    network = FAMILY.build(architecture, TASK, Recipe(dropout=0.2))
    text = source(network, architecture, TASK)
    lines = [
        "self.layer_1 = Layer(13, 32, nn.SiLU(), nn.BatchNorm1d(32), dropout=0.1)",
        "self.layer_2 = Layer(32, 32, nn.ReLU(), nn.BatchNorm1d(32), dropout=0.1, residual=True)",
        "self.dropout = nn.Dropout(0.2)",
        "self.output = nn.Linear(32, 3)",
    ]
    assert "\n".join(f"        {line}" for line in lines) in text


def test_a_depth_that_is_left_open_may_be_a_linear_map() -> None:
    open_one, said = FAMILY.Settings(), FAMILY.Settings.model_validate({"depth": 2})
    assert as_domain(open_one.for_task(TASK).depth).values() == (0, 1, 2, 3, 4)
    assert said.for_task(TASK).depth == 2
    assert open_one.for_task(TASK, shares_weights=True) == open_one
    assert as_domain(open_one.depth).values() == (1, 2, 3, 4), "what older searches mean"


def test_a_number_is_how_far_it_has_come_in_each_bin() -> None:
    """Equation 1 of Gorishniy et al., worked out for each bin."""
    piecewise = Piecewise(2, 4)
    edges = [NormalDist().inv_cdf(0.01 + 0.98 * place / 4) for place in range(5)]
    x = torch.tensor([[-9.0, 0.3], [0.0, 9.0]])
    found = piecewise(x).view(2, 2, 4)
    for row, column in itertools.product(range(2), range(2)):
        for place in range(4):
            low, high = edges[place], edges[place + 1]
            share = (float(x[row, column]) - low) / (high - low)
            share = share if place == 0 else max(share, 0.0)
            share = share if place == 3 else min(share, 1.0)
            assert float(found[row, column, place]) == pytest.approx(share, abs=1e-4)
    assert piecewise.edges[2] == pytest.approx(0, abs=1e-6)
    assert torch.equal(Piecewise(1, 1)(torch.tensor([[2.0]])) > 0, torch.tensor([[True]]))


def test_a_number_is_waves_that_all_numbers_map_alike() -> None:
    periodic = Periodic(2, 3, frequencies=2)
    x = torch.tensor([[0.5, -2.0]])
    weight, bias = periodic.linear.weight, periodic.linear.bias
    for column in range(2):
        frequencies = periodic.frequencies[column].tolist()
        angles = [2 * math.pi * one * float(x[0, column]) for one in frequencies]
        waves = torch.tensor([*map(math.cos, angles), *map(math.sin, angles)])
        expected = (weight @ waves + bias).relu()
        torch.testing.assert_close(periodic(x)[0, 3 * column : 3 * column + 3], expected)


@pytest.mark.parametrize("embedding", ["periodic", "piecewise"])
@pytest.mark.parametrize("depth", [0, 1])
def test_an_embedded_network_is_written_down(embedding: str, depth: int) -> None:
    layers = [(6, "relu", False)] * depth
    plain = mlp(*layers)
    values = {**plain.decisions, "embedding": embedding, "embedding_size": 4}
    architecture = Architecture("mlp", values)
    network = FAMILY.build(architecture, TASK, Recipe())
    module = ModuleType("model")
    text = source(network, architecture, TASK)
    exec(compile(text, "model.py", "exec"), vars(module))  # noqa: S102 - text that we wrote
    written = module.build()
    written.load_state_dict(network.state_dict())
    x = torch.randn(5, 13)
    assert torch.equal(written(x), network(x))
    none = Architecture("mlp", {**plain.decisions, "embedding": "none"})
    assert FAMILY.canonical(none) == FAMILY.canonical(plain) != FAMILY.canonical(architecture)


def test_an_embedded_space_shares_no_weights() -> None:
    settings = {"norm": "none", "dropout": 0.0, "embedding": "piecewise"}
    with pytest.raises(InfeasibleError, match="have the embedding none"):
        supernets["mlp"].check(FAMILY.Settings.model_validate(settings))
