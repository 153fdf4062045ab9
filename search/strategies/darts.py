"""DARTS, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055: search by gradient descent.

The hypothetical step of the second order is the plain one of equation 7; the paper's code adds
momentum and weight decay to it.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from search.strategies.weight_sharing import WeightSharing
from search.strategy import strategies
from search.weight_sharing.bilevel import Bilevel, BilevelSettings, constant, gradients
from search.weight_sharing.one_shot import Batch

RADIUS = 0.01
"""Epsilon of equation 8 is this over the norm of the gradient (footnote 2)."""


class DartsSettings(BilevelSettings):
    """The order of the architecture's gradient, and how the supernet is trained."""

    order: Literal["first", "second"] = Field(
        "first", description="second: the gradient sees one step of the weights ahead"
    )


class DartsSearch(Bilevel):
    """Algorithm 1, with xi = 0 (first order) or the weights' learning rate (second order)."""

    settings: DartsSettings

    def architecture_step(self, train: Batch, held_out: Batch) -> Tensor:
        if self.settings.order == "first":
            return super().architecture_step(train, held_out)
        loss, gradient = self.unrolled_gradient(train, held_out, self.weight_rate)
        self.move_architecture(gradient)
        return loss

    def unrolled_gradient(
        self, train: Batch, held_out: Batch, rate: float, radius: float = RADIUS
    ) -> tuple[Tensor, list[Tensor]]:
        """Equation 7: the held-out loss after one step of size `rate` of the weights, and its
        gradient; the Hessian-vector product by the finite difference of equation 8.
        """
        alphas, weights = list(self.alphas.values()), [w.detach() for w in self.weights]
        with torch.no_grad():
            mix = self.mix()
        step = gradients(self.loss(train, mix), self.weights)
        before = [weight.clone() for weight in weights]
        torch._foreach_add_(weights, step, alpha=-rate)
        loss = self.loss(held_out, self.mix())
        direct, vector = _divided(gradients(loss, [*alphas, *self.weights]), len(alphas))
        norm = torch.stack(torch._foreach_norm(vector)).norm()
        epsilon = radius / norm
        shift = torch._foreach_mul(vector, epsilon)
        around = []
        for sign in (1, -1):
            torch._foreach_copy_(weights, before)
            torch._foreach_add_(weights, shift, alpha=sign)
            with constant(self.weights):
                around.append(gradients(self.loss(train, self.mix()), alphas))
        torch._foreach_copy_(weights, before)
        plus, minus = around
        return loss.detach(), [
            part - rate * (above - below) / (2 * epsilon)
            for part, above, below in zip(direct, plus, minus, strict=True)
        ]


def _divided(found: list[Tensor], count: int) -> tuple[list[Tensor], list[Tensor]]:
    return found[:count], found[count:]


@strategies.register("darts")
class Darts(WeightSharing):
    """One relaxation of all networks; what stands out after its training is the candidate."""

    method = "darts"
    Settings = DartsSettings
    Search = DartsSearch
