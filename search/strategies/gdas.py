"""GDAS, Dong & Yang, CVPR 2019, https://arxiv.org/abs/1910.04465: one sampled operation an edge.

Equation 4 and 5: a hard Gumbel-softmax sample forward, the gradient of the soft one backward. Only
the sampled operations are computed.
"""

from __future__ import annotations

from itertools import islice

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from models.supernets import Mix
from models.supernets.activity import note
from search.strategies.weight_sharing import WeightSharing
from search.strategy import strategies
from search.weight_sharing.bilevel import Bilevel, BilevelSettings
from search.weight_sharing.one_shot import Batch


class GdasSettings(BilevelSettings):
    """The temperature of the samples, and how the supernet is trained."""

    first_temperature: float = Field(10.0, gt=0, le=1000, description="tau in the first epoch")
    last_temperature: float = Field(0.1, gt=0, le=1000, description="tau in the last epoch")


def hardened(soft: Mix) -> Mix:
    """One where a row is the largest and zero elsewhere, with the gradients of `soft`. What was
    chosen is read from the device once for all groups.
    """
    mixes = {}
    chosen = [mix.detach().argmax(dim=1) for mix in soft.values()]
    options = iter(torch.cat(chosen).tolist())
    for (name, mix), places in zip(soft.items(), chosen, strict=True):
        width = mix.shape[1]
        hard = functional.one_hot(places, width).to(mix)
        rows = [[option == taken for option in range(width)] for taken in islice(options, len(mix))]
        mixes[name] = note(hard - mix.detach() + mix, rows)  # exactly zero where `hard` is
    return mixes


class GdasSearch(Bilevel):
    """`mix` draws a subnet; its rows are zero but for a one with the gradient of the softmax."""

    settings: GdasSettings
    is_relaxed = False
    _temperature = 10.0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        first, last = self.settings.first_temperature, self.settings.last_temperature
        share = (epoch - 1) / max(1, self.settings.epochs - 1)
        self._temperature = first + (last - first) * share

    def mix(self) -> Mix:
        soft = {}
        for name, alpha in self.alphas.items():
            uniform = torch.rand(alpha.shape, generator=self._generator, dtype=torch.float64)
            gumbel = -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log()
            logits = alpha.log_softmax(dim=1) + gumbel.to(alpha, non_blocking=True)
            soft[name] = (logits / self._temperature).softmax(dim=1)
        return hardened(soft)

    def step(self, train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        """Algorithm 1: the weights first, then the architecture, each on a subnet of its own."""
        weight_loss = self.weight_step(train)
        return weight_loss, self.architecture_step(train, held_out)

    def derived_mix(self) -> Mix:
        return {name: alpha.detach().softmax(dim=1) for name, alpha in self.alphas.items()}


@strategies.register("gdas")
class Gdas(WeightSharing):
    """Subnets drawn from the relaxation train it; the likeliest operations are the candidate."""

    method = "gdas"
    Settings = GdasSettings
    Search = GdasSearch
