"""Initial weights: of a new network, and by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.family import families
from models.operations.recurrent import DartsCell
from models.recipe import Initialization, Recipe
from models.task import Task
from models.training.regularization import weights

Initializer = Callable[[Tensor, torch.Generator], object]


def build(architecture: Architecture, task: Task, recipe: Recipe, seed: int) -> nn.Module:
    """The network with the initial weights of `seed`; torch's global generator is left alone.

    Raises:
        models.family.InfeasibleError: no network can be built from `architecture`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return families[architecture.family].build(architecture, task, recipe)


def initialize(network: nn.Module, name: Initialization, generator: torch.Generator) -> None:
    """Draw the weights anew, in place; `default` leaves the network as it was built.

    Weights are what `regularization.weights` lists; their layers' biases become 0 and
    normalisation stays. A recurrent layer's stacked gates are drawn one by one, and its
    hidden-to-hidden weights are orthogonal under every name.

    - kaiming: normal, variance 2 / fan-in. He et al. 2015, https://arxiv.org/abs/1502.01852, eq 10.
    - xavier: uniform, variance 2 / (fan-in + fan-out). Glorot and Bengio, AISTATS 2010, eq 16.
    - orthogonal: Saxe et al. 2014, https://arxiv.org/abs/1312.6120.
    """
    if name == "default":
        return
    draw = _INITIALIZERS[name]
    drawn = {id(weight) for weight in weights(network)}
    gates = _stacked_gates(network)
    for module in network.modules():
        own = dict(module.named_parameters(recurse=False))
        if not any(id(parameter) in drawn for parameter in own.values()):
            continue
        for parameter in own.values():
            if id(parameter) not in drawn:
                nn.init.zeros_(parameter)
            elif id(parameter) in gates:
                rows, hidden = gates[id(parameter)]
                for gate in torch.split(parameter.detach(), rows):
                    (_orthogonal if hidden else draw)(gate, generator)
            else:
                draw(parameter, generator)


def _stacked_gates(network: nn.Module) -> dict[int, tuple[int, bool]]:
    """Of each weight of stacked gates, by id: the rows of a gate, and whether it maps the state."""
    found: dict[int, tuple[int, bool]] = {}
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            for name, parameter in module.named_parameters():
                found[id(parameter)] = module.hidden_size, name.startswith("weight_hh")
        elif isinstance(module, DartsCell):
            for name, parameter in module.named_parameters():
                found[id(parameter)] = module.hidden, not name.startswith("input")
    return found


def _kaiming(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _xavier(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.xavier_uniform_(weight, generator=generator)


def _orthogonal(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.orthogonal_(weight, generator=generator)


_INITIALIZERS: dict[Initialization, Initializer] = {
    "kaiming": _kaiming,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
}
