"""What earlier searches on other data predict of a candidate: where it would rank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.stats import norm

from search.memory import Memory
from search.predictors.gaussian_process import GaussianProcess
from search.predictors.path_encoding import PathEncoding
from search.predictors.proxy_scores import Matrix
from search.space import SearchSpace
from search.trial import Candidate

EDGE = 1e-3
"""No place is nearer to 0 or 1, where a normal quantile is infinite."""


class EarlierRanks:
    """A Gaussian process for each earlier search, of the normal quantiles of the places there.

    Scores of two datasets have nothing in common but their order: Bardenet et al., "Collaborative
    hyperparameter tuning", ICML 2013; how much each search counts is left to whoever asks, as in
    the ensemble of Feurer et al., "Practical transfer learning for Bayesian optimization", 2018,
    https://arxiv.org/abs/1802.02219.
    """

    def __init__(self, space: SearchSpace, memory: Memory) -> None:
        self._encode, self._memory = PathEncoding(space), memory

    def __call__(self, candidates: Sequence[Candidate]) -> Matrix:
        """The quantile that each search expects of each candidate; 0 is the median.

        Shapes:
            (len(candidates), len(memory))
        """
        if not candidates:
            return np.zeros((0, len(self._memory)))
        points = [self._encode(candidate) for candidate in candidates]
        return np.stack([process.predict(points)[0] for process in self._processes], axis=1)

    @cached_property
    def _processes(self) -> list[GaussianProcess]:
        """Fitted when they are first asked: a search that goes on may have ended."""
        return [
            GaussianProcess(
                [self._encode(found.candidate) for found in remembered.recollections],
                norm.ppf(np.clip([r.place for r in remembered.recollections], EDGE, 1 - EDGE)),
            )
            for remembered in self._memory
        ]
