"""A strategy beside a memory of earlier searches, which is asked as often as it has been right."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from scipy.stats import rankdata

from search.memory import Memory
from search.predictors.earlier_ranks import EarlierRanks
from search.predictors.gaussian_process import Vector
from search.predictors.proxy_scores import Matrix
from search.space import SearchSpace
from search.strategy import Strategy
from search.trial import Candidate, Proposal, Trial

Keys = tuple[str, str]

ON_TRUST = 3
"""Results before the memory has to prove anything."""

PRIOR = 4.0
"""Results in perfect order that its trust begins with."""

RECENT = 5
"""Results of either, by which it is seen who asks for the better ones."""


class Recalling:
    """Implements `search.strategy.Strategy`: proposals are those of another strategy, or what the
    memory has that promises most and was not tried here. The other strategy is told all results.

    The memory begins. Then its share of the proposals is the largest weight of its searches, and
    nothing once what it proposed is worse, more often than not, than what the strategy did: an
    earlier search that is of no use costs a few trials. The weight of a search is the rank
    correlation of what it expects with the results here, less one standard error, shrunk towards 1
    by `PRIOR`.
    """

    def __init__(self, strategy: Strategy, space: SearchSpace, memory: Memory) -> None:
        """`strategy` has been told nothing."""
        self._strategy, self._space = strategy, space
        self._expect = EarlierRanks(space, memory)
        self._remembered = {
            (found.architecture_key, found.recipe_key): found.candidate
            for remembered in memory
            for found in remembered.recollections
        }
        self._tried: set[Keys] = set()
        self._results: list[tuple[Keys, Candidate, float]] = []
        self._expected: Matrix = np.zeros((0, len(memory)))  # of the first of the results
        self._promised: dict[Keys, Vector] = {}  # of what is remembered, once it is asked

    def tell(self, trial: Trial) -> None:
        self._strategy.tell(trial)
        keys = self._space.keys(trial.candidate)
        if trial.fitness is not None and keys not in self._tried:
            self._results.append((keys, trial.candidate, trial.fitness[0]))
        self._tried.add(keys)

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        known = self._tried | {self._space.keys(trial.candidate) for trial in running}
        weights = self._weights()
        if sum(keys in self._remembered for keys in known) < self._share(weights) * (
            1 + len(known)
        ):
            recalled = self._recalled(weights, known)
            if recalled is not None:
                return recalled
        return self._strategy.ask(number, running)

    def _recalled(self, weights: Vector, known: Set[Keys]) -> Candidate | None:
        """Of what was not tried, the candidate that the searches expect most of."""
        if not self._promised:
            expected = self._expect(list(self._remembered.values()))
            self._promised = dict(zip(self._remembered, expected, strict=True))
        left = [keys for keys in self._remembered if keys not in known]
        if not left:
            return None
        return self._remembered[max(left, key=lambda keys: float(self._promised[keys] @ weights))]

    def _weights(self) -> Vector:
        """Of each earlier search, in 0..1."""
        count = len(self._results)
        if count < ON_TRUST:
            return np.ones(self._expected.shape[1])
        fresh = [candidate for _, candidate, _ in self._results[len(self._expected) :]]
        if fresh:
            self._expected = np.concatenate([self._expected, self._expect(fresh)])
        scores = rankdata([score for *_, score in self._results])
        agreement = np.array([_correlation(rankdata(e), scores) for e in self._expected.T])
        proven = PRIOR + count * agreement - np.sqrt(count)
        weights: Vector = np.clip(proven / (PRIOR + count), 0.0, 1.0)
        return weights

    def _share(self, weights: Vector) -> float:
        """Of the proposals, that are the memory's."""
        if len(self._results) < ON_TRUST:
            return 1.0
        remembered = [score for keys, _, score in self._results if keys in self._remembered]
        own = [score for keys, _, score in self._results if keys not in self._remembered]
        is_behind = min(len(remembered), len(own)) >= ON_TRUST and _wins(remembered, own) < 0.5
        return 0.0 if is_behind else float(weights.max())


def _correlation(first: Vector, second: Vector) -> float:
    """Pearson's; 0 where one of them is constant."""
    spread = first.std() * second.std()
    if not spread:
        return 0.0
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread)


def _wins(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of pairs of the latest of each in which the first is larger; ties count half."""
    differences = np.subtract.outer(first[-RECENT:], second[-RECENT:])
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())
