"""Search on shared weights in two levels: weights on one half of the data, the mix on the other.

DARTS, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from models.supernets import Group, Mix, Supernet
from models.supernets.activity import relaxed
from search.space import SearchSpace
from search.weight_sharing.costs import OptionCosts, PenaltySettings
from search.weight_sharing.curvature import Eigenpair, largest_eigenvalue
from search.weight_sharing.one_shot import Batch, Loss, OneShot, OneShotSettings

INITIAL_DEVIATION = 1e-3
"""Of the architecture's parameters, as in the paper's code."""


class BilevelSettings(OneShotSettings):
    """How the architecture is trained, and the supernet."""

    architecture_learning_rate: float = Field(
        3e-4, gt=0, le=10, description="of the architecture's parameters, by Adam"
    )
    architecture_weight_decay: float = Field(
        1e-3, ge=0, le=10, description="l2 / 2 of the architecture's parameters in the loss"
    )
    penalty: PenaltySettings | None = Field(
        None, description="on what the derived network is expected to cost; null: none"
    )


class Bilevel(OneShot):
    """One supernet and the parameters of its architecture, `alphas`, in training.

    A subclass says how parameters make a mix; this is the mix of DARTS, a softmax of each row.

    costs: of the options, where `settings.penalty` asks for them.
    """

    settings: BilevelSettings
    costs: OptionCosts | None = None
    is_relaxed = True

    def __init__(
        self,
        supernet: Supernet,
        settings: BilevelSettings,
        loss: Loss,
        generator: torch.Generator,
        space: SearchSpace,
    ) -> None:
        super().__init__(supernet, settings, loss, generator, space)
        self.alphas = self.parameters(supernet.groups)
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
        return {name: relaxed(alpha.softmax(dim=1)) for name, alpha in self.alphas.items()}

    def derived_mix(self) -> Mix:
        with torch.no_grad():
            return self.mix()

    def curvature(self, held_out: Batch, start: Tensor | None) -> Eigenpair | None:
        if not self.is_relaxed:
            return None
        parameters = list(self.alphas.values())
        return largest_eigenvalue(lambda: self.loss(held_out, self.mix()), parameters, start)

    def step(self, train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        """A step of the architecture, then one of the weights; (weight loss, architecture loss)."""
        architecture_loss = self.architecture_step(train, held_out)
        return self.weight_step(train), architecture_loss

    def architecture_step(self, train: Batch, held_out: Batch) -> Tensor:
        """First order: the weights are taken as if they were the best for this architecture."""
        with constant(self.weights):
            loss = self.loss(held_out, self.mix())
            gradient = gradients(loss, self.alphas.values())
        self.move_architecture(gradient)
        return loss.detach()

    def weight_step(self, train: Batch) -> Tensor:
        with torch.no_grad():
            mix = self.mix()
        return self.train_weights(train, mix)

    def move_architecture(self, gradient: Sequence[Tensor]) -> None:
        """Along the gradient of the loss, and of the penalty."""
        if self.costs is not None and self.settings.penalty is not None:
            penalty = self.costs.penalty(self.shares(), self.settings.penalty)
            added = gradients(penalty, self.alphas.values())
            gradient = [part + more for part, more in zip(gradient, added, strict=True)]
        for alpha, part in zip(self.alphas.values(), gradient, strict=True):
            alpha.grad = part
        self._architecture_optimizer.step()

    def shares(self) -> Mix:
        """The probability of each option in its row."""
        return {name: self.alphas[name].softmax(dim=1) for name in self.supernet.groups}

    def expectations(self) -> dict[str, float]:
        if self.costs is None or self.settings.penalty is None:
            return {}
        with torch.no_grad():
            expected = self.costs.expected(self.shares()).item()
        return {f"expected_{self.settings.penalty.metric}": expected}

    def state(self) -> dict[str, Tensor]:
        """With the costs: a latency is never measured the same again."""
        costs = {} if self.costs is None else self.costs.tensors()
        return super().state() | {f"costs.{name}": tensor for name, tensor in costs.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        super().load(state)
        costs = {name[6:]: part for name, part in state.items() if name.startswith("costs.")}
        self.costs = OptionCosts.of(costs) if costs else None

    def trained(self) -> dict[str, nn.Module]:
        return super().trained() | {"alphas": nn.ParameterDict(self.alphas)}

    def optimizers(self) -> dict[str, Optimizer]:
        return super().optimizers() | {"architecture_optimizer": self._architecture_optimizer}


@contextmanager
def constant(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Nothing is kept or computed for gradients of `parameters`."""
    parameters = list(parameters)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_()


def gradients(loss: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Of `loss`; zero for what it does not depend on."""
    parameters = list(parameters)
    if not loss.requires_grad:  # as of a subnet all of whose operations are none
        return [torch.zeros_like(parameter) for parameter in parameters]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    ]
