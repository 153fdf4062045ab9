"""The update rules, by torch.optim; a fused or multi-tensor kernel where there is one.

g is the gradient, lr the learning rate of the step. Where torch differs from the papers:

- Momentum keeps lr out of the velocity: v = gamma v + g, theta -= lr v. The paper's
  v = gamma v + lr g, theta -= v is the same while lr is constant.
- AdaGrad, RMSProp and Adam add epsilon outside the root: lr g / (sqrt(G) + epsilon). AdaGrad's
  and RMSProp's papers have it inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Optimizer, RMSprop

from models.recipe import OptimizerName, Recipe

Parameters = list[nn.Parameter]


def optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The recipe's update rule. Weight decay is not its business: `regularization.decay` does it
    the same way under every rule.
    """
    return _OPTIMIZERS[recipe.optimizer](recipe, [p for p in parameters if p.requires_grad])


def step_scale(rule: Optimizer, parameter: nn.Parameter) -> Tensor | float:
    """The step that a constant gradient of 1 leads to, over the learning rate, as `rule` stands:
    1 / (1 - gamma) with momentum, 1 / (sqrt(G) + epsilon) of each value where steps are adaptive.

    With it a proximal step has the fixed points of the loss plus penalty under every rule, as in
    Yun et al., NeurIPS 2021, https://arxiv.org/abs/2006.07065, equation 4.
    """
    state, defaults = rule.state[parameter], rule.defaults
    squares: Tensor
    if "sum" in state:
        squares = state["sum"]
    elif "square_avg" in state:
        squares = state["square_avg"]
    elif "exp_avg_sq" in state:
        squares = state["exp_avg_sq"] / (1 - defaults["betas"][1] ** state["step"])
    else:
        return 1 / (1 - float(defaults["momentum"]))
    scale: Tensor = 1 / (squares.sqrt() + defaults["eps"])
    return scale


def tensors_of(rule: Optimizer) -> dict[str, Tensor]:
    """What the rule keeps, named by the place of the parameter and the name of the value."""
    states: dict[int, dict[str, Any]] = rule.state_dict()["state"]
    return {
        f"{place}.{name}": value
        for place, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_tensors(rule: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Have `rule` go on from what `tensors_of` gave."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, _, name = key.partition(".")
        states.setdefault(int(place), {})[name] = value
    groups = rule.state_dict()["param_groups"]
    rule.load_state_dict({"state": states, "param_groups": groups})
    for parameter, state in rule.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # In the parameter's memory format: fused kernels walk both side by side.
                state[name] = torch.empty_like(parameter).detach().copy_(value)


def _sgd(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`theta -= lr g`. Robbins and Monro 1951."""
    return SGD(parameters, lr=recipe.learning_rate, fused=True)


def _momentum(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`v = gamma v + g; theta -= lr v`. Polyak 1964."""
    return SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True)


def _nesterov(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`v = gamma v + g; theta -= lr (g + gamma v)`: the look-ahead gradient, written for the
    point looked at. Sutskever et al., ICML 2013. With gamma 0 it is sgd.
    """
    if recipe.momentum == 0:
        return _sgd(recipe, parameters)
    return SGD(
        parameters, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True, fused=True
    )


def _adagrad(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`G += g^2; theta -= lr g / (sqrt(G) + 1e-10)`. Duchi et al., JMLR 2011."""
    fused = all(p.device.type == "cpu" for p in parameters)
    return Adagrad(
        parameters, lr=recipe.learning_rate, fused=fused, foreach=None if fused else True
    )


def _rmsprop(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`E = 0.99 E + 0.01 g^2; theta -= lr g / (sqrt(E) + 1e-8)`. Hinton, lecture 6e, 2012, has
    0.9 and 0.1.
    """
    return RMSprop(parameters, lr=recipe.learning_rate, foreach=True)


def _adam(recipe: Recipe, parameters: Parameters) -> Optimizer:
    """`m = 0.9 m + 0.1 g; v = 0.999 v + 0.001 g^2;
    theta -= lr m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8)`.
    Kingma and Ba, ICLR 2015, algorithm 1.
    """
    return Adam(parameters, lr=recipe.learning_rate, fused=True)


_OPTIMIZERS: dict[OptimizerName, Callable[[Recipe, Parameters], Optimizer]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,  # the decay that tells it from adam is decoupled under every rule
}
