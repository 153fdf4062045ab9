"""PC-DARTS, Xu et al., ICLR 2020, https://arxiv.org/abs/1907.05737.

Operations see 1/K of the channels (equation 2), and edges into a node are weighted by a softmax of
their own (edge normalisation, equation 3). The architecture rests in the first epochs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from models.supernets import Group, Mix
from models.supernets.activity import index_of, relaxed
from search.strategies.weight_sharing import WeightSharing
from search.strategy import strategies
from search.weight_sharing.bilevel import Bilevel, BilevelSettings
from search.weight_sharing.one_shot import Batch

EDGES = " edges"
"""Ends the name of the parameters of a group's edges."""


class PcDartsSettings(BilevelSettings):
    """The share of the channels, the rest of the architecture, and how the supernet is trained."""

    partial: int = Field(4, ge=1, le=64, description="K: operations see one of K channels")
    resting_share: float = Field(
        0.3, ge=0, lt=1, description="of the epochs, in which weights alone are trained first"
    )

    @property
    def channel_divisor(self) -> int:
        return self.partial


class PcDartsSearch(Bilevel):
    """The mix is the softmax of the options times that of the edges into the node."""

    settings: PcDartsSettings
    _rests = False

    def parameters(self, groups: Mapping[str, Group]) -> dict[str, nn.Parameter]:
        edges = {f"{name}{EDGES}": self.drawn(len(group.rows)) for name, group in groups.items()}
        return super().parameters(groups) | edges

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self._rests = epoch <= self.settings.resting_share * self.settings.epochs

    def architecture_step(self, train: Batch, held_out: Batch) -> Tensor:
        if not self._rests:
            return super().architecture_step(train, held_out)
        with torch.no_grad():
            return self.loss(held_out, self.mix())

    def mix(self) -> Mix:
        mixes = {}
        for name, group in self.supernet.groups.items():
            into = index_of(tuple(group.into), self.alphas[name].device)
            strengths = self.alphas[f"{name}{EDGES}"].exp()
            totals = strengths.new_zeros(max(group.into) + 1)
            share = strengths / totals.index_add(0, into, strengths)[into]
            mixes[name] = relaxed(share[:, None] * self.alphas[name].softmax(dim=1))
        return mixes


@strategies.register("pc_darts")
class PcDarts(WeightSharing):
    """DARTS on a share of the channels: less memory, and steadier edges."""

    method = "pc_darts"
    Settings = PcDartsSettings
    Search = PcDartsSearch
