"""Each proxy against a closed form or an independent computation, and what holds for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.datasets import datasets
from models.proxies import Batch, proxies
from models.training.metrics import scores


def batch(*shape: int, classes: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*shape, generator=generator)
    y = torch.randint(classes, (shape[0],), generator=generator)
    return Batch(x, y, scores["image_classification"].loss)


def normalised(inputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(inputs, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(5, 3, bias=False),
    )


def test_parameters_and_flops_of_a_small_network() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 4 * 4, 5))
    samples = batch(7, 2, 4, 4, classes=5)
    assert proxies["parameters"](network, samples) == (2 * 3 * 9 + 3) + (48 * 5 + 5)
    assert proxies["flops"](network, samples) == 2 * (2 * 3 * 9 * 16) + 2 * 48 * 5


def test_synflow_is_the_flow_once_a_layer() -> None:
    """R is linear in the weights of each layer, so that each contributes R = 1' |W2| |W1| 1."""
    network = normalised()
    first, second = network[0].weight, network[4].weight
    flow = (second.abs().double() @ first.abs().double()).sum().item()
    assert proxies["synflow"](network, batch(6, 4)) == pytest.approx(2 * flow, rel=1e-9)


def test_the_gradient_of_a_linear_softmax_is_known() -> None:
    network, samples = nn.Linear(4, 3), batch(6, 4)
    p = torch.softmax(network(samples.x), dim=1).detach()
    gradient = (p - F.one_hot(samples.y, 3)).T @ samples.x / 6
    expected = (gradient * network.weight).abs().sum().item()
    assert proxies["snip"](network, samples) == pytest.approx(expected, rel=1e-5)
    assert proxies["grad_norm"](network, samples) == pytest.approx(gradient.norm().item(), rel=1e-5)


def test_gradients_see_the_statistics_of_the_batch() -> None:
    """Central differences through batch normalisation written out by hand."""
    network, samples = normalised().double(), batch(6, 4)
    samples = Batch(samples.x.double(), samples.y, samples.loss)
    first, second = (network[i].weight.detach().clone() for i in (0, 4))

    def loss(first: Tensor, second: Tensor) -> float:
        hidden = samples.x @ first.T
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
        return F.cross_entropy(hidden.clamp(min=0) @ second.T, samples.y).item()

    def differences(weight: Tensor) -> Tensor:
        gradient = torch.zeros_like(weight)
        for index in np.ndindex(*weight.shape):
            kept = weight[index].item()
            weight[index] = kept + 1e-5
            above = loss(first, second)
            weight[index] = kept - 1e-5
            gradient[index] = (above - loss(first, second)) / 2e-5
            weight[index] = kept
        return gradient

    one, two = differences(first), differences(second)
    expected = ((one * first).abs().sum() + (two * second).abs().sum()).item()
    assert proxies["snip"](network, samples) == pytest.approx(expected, rel=1e-5)
    norms = (one.norm() + two.norm()).item()
    assert proxies["grad_norm"](network, samples) == pytest.approx(norms, rel=1e-5)


def test_naswot_counts_units_that_two_samples_switch_alike() -> None:
    torch.manual_seed(0)
    network, samples = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3)), batch(5, 4)
    codes = (samples.x @ network[0].weight.T + network[0].bias > 0).tolist()
    kernel = [[sum(a == b for a, b in zip(i, j, strict=True)) for j in codes] for i in codes]
    expected = math.log(np.linalg.det(np.array(kernel, dtype=float)))
    assert proxies["naswot"](network, samples) == pytest.approx(expected, rel=1e-6)


def test_naswot_has_nothing_to_say_where_nothing_is_switched() -> None:
    assert proxies["naswot"](nn.Linear(4, 3), batch(5, 4)) == -math.inf


def test_a_batch_is_drawn_by_its_seed() -> None:
    digits = datasets["digits"].load()
    one, same, other = (Batch.of(digits, seed, 32) for seed in (0, 0, 1))
    assert torch.equal(one.x, same.x) and torch.equal(one.y, same.y)
    assert not torch.equal(one.x, other.x)
    rows = digits.train.x.flatten(1)
    for x, y in zip(one.x.flatten(1), one.y, strict=True):
        assert y in digits.train.y[(rows == x).all(dim=1)]
    assert len(Batch.of(digits, 0, 10**6).y) == len(digits.train)


@pytest.mark.parametrize("name", proxies)
def test_a_network_is_left_as_it_was(name: str) -> None:
    network, samples = normalised(), batch(3, 4)
    network[3].eval()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    first = proxies[name](network, samples)
    assert proxies[name](network, samples) == first
    assert math.isfinite(first)
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in network] == [True, True, True, False, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network)


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "attention"])
@pytest.mark.parametrize("name", proxies)
def test_layers_of_sequences_are_scored(name: str, layer: str) -> None:
    torch.manual_seed(0)
    network = Sequences(layer)
    assert math.isfinite(proxies[name](network, batch(3, 5, 4)))


class Sequences(nn.Module):
    """Any layer over (N, 5, 4), then an activation and a head."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        is_attention = layer == "attention"
        self.layer: nn.Module = (
            nn.TransformerEncoderLayer(4, 2, 16, activation=nn.ReLU(), batch_first=True)
            if is_attention
            else getattr(nn, layer)(4, 16, batch_first=True)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(4 if is_attention else 16, 3))

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        hidden = out[0] if isinstance(out, tuple) else out
        outputs: Tensor = self.head(hidden.mean(dim=1))
        return outputs
