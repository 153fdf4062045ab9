"""Random search with weight sharing, Li & Talwalkar, UAI 2019, https://arxiv.org/abs/1902.07638."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from models.architecture import Architecture
from search.strategies.weight_sharing import WeightSharing
from search.strategy import strategies
from search.weight_sharing.one_shot import Batch
from search.weight_sharing.paths import Paths, PathSettings, batch_statistics


class RandomSharingSettings(PathSettings):
    """How many subnets are compared (1000 in the paper), and how the supernet is trained."""


class RandomSharingSearch(Paths):
    """Section 3: paths are drawn uniformly, each decision from its domain."""

    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        seed = torch.randint(2**62, (), generator=generator).item()
        rng = Random(int(seed))  # noqa: S311 - a search, not a secret
        return [self._space.sample(rng).architecture for _ in range(count)]

    def held_out_step(self, trained: Architecture, held_out: Batch) -> Tensor:
        """Nothing is learnt: the loss shows how far the shared weights are."""
        with torch.no_grad(), batch_statistics(self.supernet):
            return self.loss(held_out, self.supernet.mix_of(trained))


@strategies.register("random_sharing")
class RandomSharing(WeightSharing):
    """Uniform paths train shared weights; the best of many subnets with them is the candidate."""

    method = "random_sharing"
    Settings = RandomSharingSettings
    Search = RandomSharingSearch
