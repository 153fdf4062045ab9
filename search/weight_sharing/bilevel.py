"""Search on shared weights in two levels: weights on one half of the data, the mix on the other.

DARTS, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Adam

from models.supernets import Group, Mix, Supernet
from search.strategies import StrategySettings

INITIAL_DEVIATION = 1e-3
"""Of the architecture's parameters, as in the paper's code."""

MIN_RATE_SHARE = 0.04
"""The weights' learning rate falls along a cosine to this share of it: 0.025 to 0.001."""

Loss = Callable[[Tensor, Tensor], Tensor]


class Batch(NamedTuple):
    """Samples of one step.

    Shapes:
        x: (N, *task.input_shape), y: (N,) or (N, outputs)
    """

    x: Tensor
    y: Tensor


class BilevelSettings(StrategySettings):
    """How a supernet is trained; the defaults are those of the DARTS paper for 50 epochs."""

    seeds: int = Field(3, ge=1, le=100, description="supernets, each with a seed of its own")
    epochs: int = Field(50, ge=1, le=10_000, description="of a supernet, over half of the training")
    batch_size: int = Field(64, ge=2, le=65_536, description="samples of either half per step")
    learning_rate: float = Field(0.025, gt=0, le=10, description="of the weights, at the start")
    momentum: float = Field(0.9, ge=0, lt=1, description="of the weights")
    weight_decay: float = Field(3e-4, ge=0, le=10, description="l2 / 2 of the weights in the loss")
    clip_norm: float = Field(5.0, ge=0, le=1e6, description="largest gradient norm; 0: no limit")
    architecture_learning_rate: float = Field(
        3e-4, gt=0, le=10, description="of the architecture's parameters, by Adam"
    )
    architecture_weight_decay: float = Field(
        1e-3, ge=0, le=10, description="l2 / 2 of the architecture's parameters in the loss"
    )

    @property
    def channel_divisor(self) -> int:
        """Operations see one of so many channels."""
        return 1


class Bilevel:
    """One supernet and the parameters of its architecture, `alphas`, in training.

    A subclass says how parameters make a mix; this is the mix of DARTS, a softmax of each row.
    """

    def __init__(
        self, supernet: Supernet, settings: BilevelSettings, loss: Loss, generator: torch.Generator
    ) -> None:
        """`generator`, on the CPU, draws everything that is random in the search."""
        self.supernet, self.settings, self._loss = supernet, settings, loss
        self._generator = generator
        self.weights = list(supernet.parameters())
        self.alphas = self.parameters(supernet.groups)
        self._weight_optimizer = SGD(
            self.weights,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            foreach=True,
        )
        self._architecture_optimizer = Adam(
            self.alphas.values(),
            lr=settings.architecture_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=settings.architecture_weight_decay,
        )

    def parameters(self, groups: Mapping[str, Group]) -> dict[str, nn.Parameter]:
        """What the architecture's steps change: for each group (rows, options)."""
        return {
            name: self.drawn(len(group.rows), len(group.options)) for name, group in groups.items()
        }

    def drawn(self, *shape: int) -> nn.Parameter:
        like = self.weights[0]
        values = torch.randn(*shape, generator=self._generator) * INITIAL_DEVIATION
        return nn.Parameter(values.to(device=like.device, dtype=like.dtype))

    def mix(self) -> Mix:
        """The weights of the options in a training step."""
        return {name: alpha.softmax(dim=1) for name, alpha in self.alphas.items()}

    def derived_mix(self) -> Mix:
        """The weights of the options from which an architecture is derived."""
        with torch.no_grad():
            return self.mix()

    def begin_epoch(self, epoch: int) -> None:
        """`epoch` counts from 1."""
        share = (epoch - 1) / self.settings.epochs
        cosine = (1 + math.cos(math.pi * share)) / 2
        rate = self.settings.learning_rate * (MIN_RATE_SHARE + (1 - MIN_RATE_SHARE) * cosine)
        for group in self._weight_optimizer.param_groups:
            group["lr"] = rate

    def step(self, train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        """A step of the architecture, then one of the weights; (weight loss, architecture loss)."""
        architecture_loss = self.architecture_step(train, held_out)
        return self.weight_step(train), architecture_loss

    def architecture_step(self, train: Batch, held_out: Batch) -> Tensor:
        """First order: the weights are taken as if they were the best for this architecture."""
        loss = self.loss(held_out, self.mix())
        self.move_architecture(gradients(loss, self.alphas.values()))
        return loss.detach()

    def weight_step(self, train: Batch) -> Tensor:
        with torch.no_grad():
            mix = self.mix()
        loss = self.loss(train, mix)
        self._weight_optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.weights, self.settings.clip_norm, foreach=True)
        self._weight_optimizer.step()
        return loss.detach()

    def loss(self, batch: Batch, mix: Mix) -> Tensor:
        return self._loss(self.supernet(batch.x, mix), batch.y)

    def move_architecture(self, gradient: Sequence[Tensor]) -> None:
        for alpha, part in zip(self.alphas.values(), gradient, strict=True):
            alpha.grad = part
        self._architecture_optimizer.step()

    @property
    def weight_rate(self) -> float:
        """The learning rate of the weights in this epoch."""
        rate: float = self._weight_optimizer.param_groups[0]["lr"]
        return rate


def gradients(loss: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Of `loss`; zero for what it does not depend on."""
    parameters = list(parameters)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    ]
