"""Search on shared weights: one supernet in training, and the architecture that it leads to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from models.architecture import Architecture
from models.datasets import Samples
from models.supernets import Mix, Supernet
from models.tensor_file import dense
from models.training.defaults import default_recipe
from models.training.optimizers import load_tensors, tensors_of
from models.training.trainer import channels_last
from search.space import SearchSpace
from search.strategy import StrategySettings
from search.weight_sharing.collapse import GuardSettings
from search.weight_sharing.curvature import Eigenpair

MIN_RATE_SHARE = 0.04
"""The weights' learning rate falls along a cosine to this share of it: 0.025 to 0.001."""

MOMENTUM_RATE, ADAM_RATE = 0.025, 0.001
"""Learning rates of the weights where neither request nor task says one."""

Loss = Callable[[Tensor, Tensor], Tensor]


class Batch(NamedTuple):
    """Samples of one step, as `models.datasets.Split` has them."""

    x: Samples
    y: Tensor

    def picked(self, index: Tensor) -> Batch:
        """Some of the samples, images in the memory format in which they are trained on."""
        index = index.to(self.y.device)
        return Batch(channels_last(self.x.index_select(0, index)), self.y[index])


class OneShotSettings(StrategySettings):
    """How a supernet is trained; the defaults are those of the DARTS paper for 50 epochs."""

    seeds: int = Field(3, ge=1, le=100, description="supernets, each with a seed of its own")
    epochs: int = Field(50, ge=1, le=10_000, description="of a supernet, over half of the training")
    batch_size: int = Field(64, ge=2, le=65_536, description="samples of either half per step")
    optimizer: Literal["momentum", "adam"] | None = Field(
        None, description="of the weights; null: momentum on images as in the paper, else adam"
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=10,
        description="of the weights, at the start; null: 0.025 with momentum, with adam what "
        "plain networks of the task have",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of the weights, by momentum")
    weight_decay: float = Field(3e-4, ge=0, le=10, description="l2 / 2 of the weights in the loss")
    clip_norm: float = Field(5.0, ge=0, le=1e6, description="largest gradient norm; 0: no limit")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: autocast around the supernet; weights stay float32"
    )
    gradient_checkpointing: bool = Field(
        False,
        description="less memory, more time: of a cell, a block, a layer or a step of a "
        "recurrent cell keep what goes in",
    )
    guard: GuardSettings = Field(
        GuardSettings(), description="against the collapse of the architecture"
    )
    inherit_weights: bool = Field(
        False,
        description="what a supernet derives begins its training with the weights that it had "
        "there; final trainings are from scratch all the same",
    )

    @property
    def channel_divisor(self) -> int:
        """Operations see one of so many channels."""
        return 1

    def for_task(self, name: str) -> Self:
        """With the optimizer and the learning rate that were left open."""
        usual = default_recipe(name)
        optimizer = self.optimizer or ("momentum" if name == "image_classification" else "adam")
        rate = self.learning_rate or MOMENTUM_RATE
        if self.learning_rate is None and optimizer == "adam":
            is_adaptive = usual.optimizer in ("adam", "adamw")
            rate = usual.learning_rate if is_adaptive else ADAM_RATE
        return self.model_copy(update={"optimizer": optimizer, "learning_rate": rate})


class OneShot(ABC):
    """One supernet in training. A subclass says what a step is and what it has found.

    is_relaxed: a step computes all options at once, by a mix that is a smooth function of
    parameters.
    """

    is_relaxed: ClassVar[bool] = False

    def __init__(
        self,
        supernet: Supernet,
        settings: OneShotSettings,
        loss: Loss,
        generator: torch.Generator,
        space: SearchSpace,
    ) -> None:
        """`generator`, on the CPU, draws everything that is random in the search. `space`: of the
        supernet's architectures. An optimizer or a learning rate that `settings` leave open is
        that of images (`OneShotSettings.for_task`).
        """
        self.supernet, self.settings, self._loss = supernet, settings, loss
        self._generator, self._space = generator, space
        self.allows = lambda architecture: True
        supernet.recomputes = settings.gradient_checkpointing
        self.weights = list(supernet.parameters())
        self._first_rate = settings.learning_rate or MOMENTUM_RATE
        self._weight_optimizer = self._optimizer_of_weights()

    @abstractmethod
    def step(self, train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        """A step on a batch of either half; (loss on the first, loss on the second)."""

    @abstractmethod
    def derived_mix(self) -> Mix:
        """How much the search holds with each option, without gradient."""

    def derive(self, held_out: Batch) -> Architecture:
        """The architecture that the search has led to; `held_out`: the whole half."""
        return self.supernet.derive(self.derived_mix())

    def curvature(self, held_out: Batch, start: Tensor | None) -> Eigenpair | None:
        """The largest eigenvalue of the Hessian of the loss on `held_out` in the architecture's
        parameters (`search.weight_sharing.curvature`); None where the method has no such Hessian.
        """
        return None

    def expectations(self) -> dict[str, float]:
        """What the derived network is expected to cost, where that is known."""
        return {}

    def begin_epoch(self, epoch: int) -> None:
        """`epoch` counts from 1."""
        share = (epoch - 1) / self.settings.epochs
        cosine = (1 + math.cos(math.pi * share)) / 2
        rate = self._first_rate * (MIN_RATE_SHARE + (1 - MIN_RATE_SHARE) * cosine)
        for group in self._weight_optimizer.param_groups:
            group["lr"] = rate

    def train_weights(self, batch: Batch, mix: Mix) -> Tensor:
        """A step of the weights; the loss before it. What the mix leaves out stays as it is, but
        for weight decay and momentum.
        """
        loss = self.loss(batch, mix)
        self._weight_optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.weights, self.settings.clip_norm, foreach=True)
        self._weight_optimizer.step()
        return loss.detach()

    def loss(self, batch: Batch, mix: Mix) -> Tensor:
        halved = self.settings.precision == "bfloat16"
        with torch.autocast(batch.y.device.type, torch.bfloat16, enabled=halved):
            outputs = self.supernet(batch.x, mix)
        return self._loss(outputs.float() if halved else outputs, batch.y)

    def _optimizer_of_weights(self) -> Optimizer:
        rate, decay = self._first_rate, self.settings.weight_decay
        is_fused = all(weight.is_cuda for weight in self.weights)
        fused, foreach = (True, None) if is_fused else (None, True)
        if self.settings.optimizer == "adam":
            return Adam(self.weights, lr=rate, weight_decay=decay, fused=fused, foreach=foreach)
        momentum = self.settings.momentum
        # Not fused: weights get their first gradient, and so their velocity, in different steps.
        return SGD(self.weights, rate, momentum, weight_decay=decay, foreach=True)

    @property
    def weight_rate(self) -> float:
        """The learning rate of the weights in this epoch."""
        rate: float = self._weight_optimizer.param_groups[0]["lr"]
        return rate

    def state(self) -> dict[str, Tensor]:
        """After an epoch: with it, the remaining epochs are those of a search that was never
        interrupted. On the CPU.
        """
        parts = {name: module.state_dict() for name, module in self.trained().items()}
        parts |= {name: tensors_of(rule) for name, rule in self.optimizers().items()}
        parts["random"] = {"state": self._generator.get_state()}
        return {
            f"{part}.{name}": dense(tensor)
            for part, tensors in parts.items()
            for name, tensor in tensors.items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state` of the same settings."""
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = tensor
        for name, module in self.trained().items():
            module.load_state_dict(parts.get(name, {}))
        for name, rule in self.optimizers().items():
            load_tensors(rule, parts.get(name, {}))
        self._generator.set_state(parts["random"]["state"])

    def trained(self) -> dict[str, nn.Module]:
        """What steps change, by name."""
        return {"supernet": self.supernet}

    def optimizers(self) -> dict[str, Optimizer]:
        """By other names than those of `trained`."""
        return {"weight_optimizer": self._weight_optimizer}


class TrainsSupernets:
    """A strategy that asks for supernets says by this how one is trained;
    `search.strategies.weight_sharing` has what all of them ask for.
    """

    Settings: type[OneShotSettings]
    Search: type[OneShot]
