"""Zero-cost scores of the candidates of one search, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from models.architecture import Architecture
from models.datasets.reference import DatasetReference, load_dataset
from models.proxies import Batch, proxies
from models.recipe import Recipe
from models.training.initialization import build
from search.streams import SearchPurpose, seed_for
from search.trial import Candidate

REMEMBERED = 16_384


class ProxyScorer:
    """Scores a network as it is built with the search's seed, on one batch that it draws."""

    def __init__(self, dataset: DatasetReference, names: Sequence[str], seed: int) -> None:
        self._dataset, self._names, self._seed = load_dataset(dataset), tuple(names), seed
        self._batch = Batch.of(self._dataset, seed_for(seed, SearchPurpose.PROXY_BATCH))
        self._remembered = lru_cache(REMEMBERED)(self._scores)

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        """By name; a score may be infinite or NaN.

        Raises:
            models.family.InfeasibleError: no network can be built from the candidate.
        """
        return self._remembered(candidate.architecture, candidate.recipe.batch_norm)

    def _scores(self, architecture: Architecture, batch_norm: bool) -> Mapping[str, float]:
        """Of the recipe, only batch normalisation changes them: dropout is off.

        On one thread: for networks so small a second one costs more than it brings.
        """
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        recipe = Recipe(batch_norm=batch_norm)
        network = build(architecture, self._dataset.task, recipe, self._seed)
        return {name: proxies[name](network, self._batch) for name in self._names}
