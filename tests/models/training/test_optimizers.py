"""Each update rule against its formula, over steps with a changing learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from models.recipe import OptimizerName, Recipe
from models.training.optimizers import optimizer

Array = np.ndarray[Any, np.dtype[np.float64]]
Rule = Callable[[Array, list[Array], list[float]], Array]

STEPS = 7
RATES = [0.1, 0.07, 0.2, 0.05, 0.05, 0.01, 0.3]
GAMMA = 0.8


def gradients(scale: float = 1.0) -> list[Array]:
    rng = np.random.default_rng(0)
    return [scale * rng.normal(size=(3, 4)) for _ in range(STEPS)]


def start() -> Array:
    return np.random.default_rng(1).normal(size=(3, 4))


def by_torch(name: OptimizerName, slopes: list[Array], rates: list[float], **more: Any) -> Array:
    parameter = nn.Parameter(torch.from_numpy(start()))
    recipe = Recipe(optimizer=name, momentum=GAMMA, learning_rate=1.0, **more)
    rule = optimizer(recipe, [parameter])
    for slope, rate in zip(slopes, rates, strict=True):
        for group in rule.param_groups:
            group["lr"] = rate
        parameter.grad = torch.from_numpy(slope)
        rule.step()
    return parameter.detach().numpy()


def sgd(theta: Array, slopes: list[Array], rates: list[float]) -> Array:
    for g, lr in zip(slopes, rates, strict=True):
        theta = theta - lr * g
    return theta


def momentum(theta: Array, slopes: list[Array], rates: list[float]) -> Array:
    v = np.zeros_like(theta)
    for g, lr in zip(slopes, rates, strict=True):
        v = GAMMA * v + g
        theta = theta - lr * v
    return theta


def momentum_of_the_paper(theta: Array, slopes: list[Array], rates: list[float]) -> Array:
    v = np.zeros_like(theta)
    for g, lr in zip(slopes, rates, strict=True):
        v = GAMMA * v + lr * g
        theta = theta - v
    return theta


def nesterov(theta: Array, slopes: list[Array], rates: list[float]) -> Array:
    v = np.zeros_like(theta)
    for g, lr in zip(slopes, rates, strict=True):
        v = GAMMA * v + g
        theta = theta - lr * (g + GAMMA * v)
    return theta


def adagrad(theta: Array, slopes: list[Array], rates: list[float], inside: bool = False) -> Array:
    G = np.zeros_like(theta)
    for g, lr in zip(slopes, rates, strict=True):
        G = G + g**2
        theta = theta - lr * g / (np.sqrt(G + 1e-10) if inside else np.sqrt(G) + 1e-10)
    return theta


def rmsprop(theta: Array, slopes: list[Array], rates: list[float], inside: bool = False) -> Array:
    E = np.zeros_like(theta)
    for g, lr in zip(slopes, rates, strict=True):
        E = 0.99 * E + 0.01 * g**2
        theta = theta - lr * g / (np.sqrt(E + 1e-8) if inside else np.sqrt(E) + 1e-8)
    return theta


def adam(theta: Array, slopes: list[Array], rates: list[float]) -> Array:
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, (g, lr) in enumerate(zip(slopes, rates, strict=True), start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + 1e-8)
    return theta


RULES: dict[OptimizerName, Rule] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,  # without decay; with it: test_regularization.py
}


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_an_optimizer_follows_its_formula(name: OptimizerName) -> None:
    expected = RULES[name](start(), gradients(), RATES)
    np.testing.assert_allclose(by_torch(name, gradients(), RATES), expected, rtol=1e-10)


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_a_rule_moves_float32_weights_on_the_same_path(name: OptimizerName) -> None:
    """The kernels that training uses: fused or multi-tensor, several parameters at once."""
    parameters = [nn.Parameter(torch.from_numpy(start()).float()) for _ in range(3)]
    rule = optimizer(Recipe(optimizer=name, momentum=GAMMA, learning_rate=1.0), parameters)
    for slope, rate in zip(gradients(), RATES, strict=True):
        for group in rule.param_groups:
            group["lr"] = rate
        for parameter in parameters:
            parameter.grad = torch.from_numpy(slope).float()
        rule.step()
    for parameter in parameters:
        expected = RULES[name](start(), gradients(), RATES)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=2e-4, atol=1e-5)


def test_momentum_is_the_papers_while_the_learning_rate_is_constant() -> None:
    constant = [0.1] * STEPS
    ours = by_torch("momentum", gradients(), constant)
    np.testing.assert_allclose(
        ours, momentum_of_the_paper(start(), gradients(), constant), rtol=1e-10
    )


def test_momentum_keeps_the_learning_rate_outside_the_velocity() -> None:
    """Where torch differs from the paper: a drop of the rate acts on the whole velocity at once."""
    rates = [0.1] * (STEPS - 1) + [0.001]
    ours = by_torch("momentum", gradients(), rates)
    paper = momentum_of_the_paper(start(), gradients(), rates)
    np.testing.assert_allclose(ours, momentum(start(), gradients(), rates), rtol=1e-10)
    assert np.abs(ours - paper).max() > 0.01


@pytest.mark.parametrize(
    ("name", "rule", "scale"), [("adagrad", adagrad, 1e-6), ("rmsprop", rmsprop, 1e-5)]
)
def test_epsilon_is_added_outside_the_root(name: OptimizerName, rule: Any, scale: float) -> None:
    """Where torch differs from the papers: seen only where gradients are tiny."""
    ours = by_torch(name, gradients(scale), RATES)
    np.testing.assert_allclose(ours, rule(start(), gradients(scale), RATES), rtol=1e-10)
    inside = rule(start(), gradients(scale), RATES, inside=True)
    assert np.abs(ours - inside).max() > 0.01


def test_nesterov_without_momentum_is_sgd() -> None:
    parameter = nn.Parameter(torch.from_numpy(start()))
    rule = optimizer(Recipe(optimizer="nesterov", momentum=0.0, learning_rate=0.1), [parameter])
    parameter.grad = torch.from_numpy(gradients()[0])
    rule.step()
    np.testing.assert_allclose(parameter.detach().numpy(), start() - 0.1 * gradients()[0])


def test_frozen_parameters_are_left_alone() -> None:
    free, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    rule = optimizer(Recipe(), [free, frozen])
    assert [p for group in rule.param_groups for p in group["params"]] == [free]
