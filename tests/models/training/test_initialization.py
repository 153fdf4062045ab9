"""Initial weights against the variances and norms of their papers.

A sample variance of n normal values has relative deviation sqrt(2 / n); the tolerances are 5 sigma
of the layers used, once in 1.7 million seeds, and the seed is fixed.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.recipe import Initialization
from models.training.initialization import initialize


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.Flatten(), nn.Linear(128, 64))


def test_kaiming_has_variance_two_over_fan_in() -> None:
    net = network()
    initialize(net, "kaiming", generator())
    for layer, fan_in in ((net[0], 16 * 9), (net[3], 128)):
        tolerance = 5 * math.sqrt(2 / layer.weight.numel())
        assert layer.weight.var().item() == pytest.approx(2 / fan_in, rel=tolerance)


def test_xavier_is_uniform_with_variance_two_over_fan_in_plus_fan_out() -> None:
    net = network()
    initialize(net, "xavier", generator())
    for layer, fans in ((net[0], (16 + 32) * 9), (net[3], 128 + 64)):
        tolerance = 5 * math.sqrt(2 / layer.weight.numel())
        assert layer.weight.var().item() == pytest.approx(2 / fans, rel=tolerance)
        bound = math.sqrt(6 / fans)
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound


def test_orthogonal_rows_are_orthonormal() -> None:
    net = network()
    initialize(net, "orthogonal", generator())
    for layer in (net[0], net[3]):
        flat = layer.weight.flatten(1)
        torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["kaiming", "xavier", "orthogonal"])
def test_biases_are_zero_and_normalisation_stays(name: Initialization) -> None:
    net = network()
    nn.init.constant_(net[1].weight, 0.7)
    initialize(net, name, generator())
    assert not net[0].bias.any() and not net[3].bias.any()
    assert torch.equal(net[1].weight, torch.full((32,), 0.7))


def test_default_leaves_the_network_as_it_was_built() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    initialize(net, "default", generator())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("name", ["kaiming", "xavier", "orthogonal"])
def test_recurrent_weights_are_orthogonal_gate_by_gate(name: Initialization) -> None:
    lstm = nn.LSTM(12, 8, num_layers=2, bidirectional=True)
    initialize(lstm, name, generator())
    for parameter_name, parameter in lstm.named_parameters():
        if parameter_name.startswith("bias"):
            assert not parameter.any()
        elif parameter_name.startswith("weight_hh"):
            for gate in parameter.split(8):
                torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)
    if name == "kaiming":  # the fan-in is the input, not the stack of four gates
        tolerance = 5 * math.sqrt(2 / lstm.weight_ih_l0.numel())
        assert lstm.weight_ih_l0.var().item() == pytest.approx(2 / 12, rel=tolerance)


def test_the_weights_are_a_function_of_the_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        net = network()
        initialize(net, "kaiming", generator(seed))
        drawn.append(net[0].weight)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
