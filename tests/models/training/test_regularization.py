from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.recipe import OptimizerName, Recipe
from models.training.classification import ClassificationScore
from models.training.optimizers import optimizer, step_scale
from models.training.regularization import add_penalty_gradient, decay, soft_threshold, weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm2d(3),
        nn.GroupNorm(1, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.LayerNorm((12,)),
        nn.Linear(12, 4),
    )


def test_penalties_act_on_weights_and_spare_biases_and_normalisation() -> None:
    net = network()
    names = [
        name for name, p in net.named_parameters() if any(p is weight for weight in weights(net))
    ]
    assert names == ["0.weight", "6.weight"]


def test_a_normalisation_with_a_scale_of_several_axes_is_spared() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm((2, 4)), nn.RMSNorm((2, 4)))
    assert [weight.shape for weight in weights(net)] == [(4, 3)]


def test_frozen_weights_are_spared_and_tied_ones_counted_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    assert len(weights(nn.Sequential(first, second))) == 1
    first.weight.requires_grad_(False)
    assert weights(nn.Sequential(first, second)) == []


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2), (0.0, 0.0)])
def test_the_added_gradient_is_autograds_of_the_penalty(l1: float, l2: float) -> None:
    net, reference = network().double(), network().double()
    x = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    net(x).square().mean().backward()
    add_penalty_gradient(weights(net), l1, l2)

    penalty = sum(l1 * w.abs().sum() + l2 / 2 * w.square().sum() for w in weights(reference))
    (reference(x).square().mean() + penalty).backward()
    for ours, autograd in zip(net.parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None and autograd.grad is not None
        torch.testing.assert_close(ours.grad, autograd.grad, rtol=1e-12, atol=1e-14)


def test_a_weight_that_the_data_did_not_reach_is_penalised_too() -> None:
    unused = nn.Linear(2, 2)
    add_penalty_gradient(weights(unused), 0.0, 0.5)
    assert unused.weight.grad is not None and unused.bias.grad is None
    assert torch.equal(unused.weight.grad, 0.5 * unused.weight)


def test_the_subgradient_of_l1_at_zero_is_zero() -> None:
    layer = nn.Linear(2, 1)
    nn.init.zeros_(layer.weight)
    add_penalty_gradient(weights(layer), 1.0, 0.0)
    assert layer.weight.grad is not None and not layer.weight.grad.any()


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_weight_decay_is_decoupled_under_every_optimizer(name: OptimizerName) -> None:
    """w <- (1 - lr decay) w - (the plain rule's step at the same gradients and lr)."""
    rates, amount = [0.1, 0.05, 0.2, 0.01, 0.1], 0.3
    decayed, plain = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    recipe = Recipe(optimizer=name)
    rules = optimizer(recipe, [decayed]), optimizer(recipe, [plain])
    expected = torch.ones(2, 3)
    for step, rate in enumerate(rates):
        gradient = torch.linspace(-1, 1, 6).reshape(2, 3) * (step + 1)
        before = plain.detach().clone()
        for parameter, rule in zip((decayed, plain), rules, strict=True):
            parameter.grad = gradient.clone()
            rule.param_groups[0]["lr"] = rate
        decay([decayed], rate * amount)
        for rule in rules:
            rule.step()
        expected = (1 - rate * amount) * expected + (plain.detach() - before)
        torch.testing.assert_close(decayed.detach(), expected)


def test_adamw_with_decay_is_that_of_torch() -> None:
    ours, reference = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    rule = optimizer(Recipe(optimizer="adamw"), [ours])
    torchs = torch.optim.AdamW([reference], weight_decay=0.2)
    for step, rate in enumerate([0.1, 0.05, 0.2, 0.01, 0.1]):
        for parameter, optim in ((ours, rule), (reference, torchs)):
            parameter.grad = torch.linspace(-1, 1, 6).reshape(2, 3) * (step + 1)
            optim.param_groups[0]["lr"] = rate
        decay([ours], rate * 0.2)
        rule.step()
        torchs.step()
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_the_proximal_step_reaches_the_lasso_with_exact_zeros(name: OptimizerName) -> None:
    """min 1/2 sum (w - a)^2 + l1 sum |w| is solved by the soft threshold of a; the penalty in the
    loss only comes near its zeros.
    """
    goal, l1 = torch.tensor([[0.05, -0.3, 0.0], [1.0, -0.08, 0.5]]), 0.1
    solution = goal.sign() * (goal.abs() - l1).clamp(min=0)
    ends = []
    for proximal in (True, False):
        weight = nn.Parameter(torch.full((2, 3), 0.2))
        rule = optimizer(Recipe(optimizer=name, momentum=0.5), [weight])
        for step in range(2000):
            rate = 0.05 * (1 - step / 2000)
            rule.param_groups[0]["lr"] = rate
            weight.grad = weight.detach() - goal
            if not proximal:
                add_penalty_gradient([weight], l1, 0.0)
            rule.step()
            if proximal:
                soft_threshold([weight], [rate * l1 * step_scale(rule, weight)])
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], solution, rtol=0, atol=1e-3)
    assert torch.equal(ends[0] == 0, solution == 0)
    assert not torch.equal(ends[1] == 0, solution == 0)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_label_smoothing_is_cross_entropy_with_the_mixed_target(epsilon: float) -> None:
    logits, y = torch.randn(7, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    target = (1 - epsilon) * F.one_hot(y, 4) + epsilon / 4
    log_p = logits - logits.exp().sum(dim=1, keepdim=True).log()
    expected = -(target * log_p).sum(dim=1).mean()
    torch.testing.assert_close(ClassificationScore.loss(logits, y, epsilon), expected)


def test_dropout_scales_what_it_keeps() -> None:
    """Inverted dropout, Srivastava et al. 2014: x / (1 - p) with probability 1 - p, else 0.

    The share kept of 40,000 deviates by more than 5 sigma (0.0107) once in 1.7 million runs.
    """
    torch.manual_seed(0)
    layer = nn.Dropout(0.25)
    out = layer(torch.ones(40_000))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (out > 0).double().mean().item() == pytest.approx(0.75, abs=0.0107)
    assert torch.equal(layer.eval()(torch.ones(9)), torch.ones(9))


def test_batch_norm_follows_its_algorithm() -> None:
    """Ioffe and Szegedy 2015, algorithm 1, and the running statistics that torch keeps."""
    x = torch.randn(6, 3, 5, 5, dtype=torch.float64) * 2 + 1
    layer = nn.BatchNorm2d(3).double()
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    mean = x.mean(dim=(0, 2, 3))
    biased = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    gamma, beta = layer.weight[:, None, None], layer.bias[:, None, None]
    scaled = (x - mean[:, None, None]) / (biased + 1e-5).sqrt()[:, None, None]
    torch.testing.assert_close(layer(x), gamma * scaled + beta)
    unbiased = biased * 150 / 149
    torch.testing.assert_close(layer.running_mean, 0.1 * mean)
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * unbiased)
    running = (x - layer.running_mean[:, None, None]) / (layer.running_var + 1e-5).sqrt()[
        :, None, None
    ]
    torch.testing.assert_close(layer.eval()(x), gamma * running + beta)
