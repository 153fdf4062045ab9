"""BANANAS, White et al., AAAI 2021, https://arxiv.org/abs/1910.11858, Algorithm 1.

A predictor on path encodings, and an acquisition function that is maximised over mutations of the
best. Three deviations, each measured on tables: the predictor is a Gaussian process, not an
ensemble of networks; it is told the ranks of the scores, as normal quantiles, so that one failed
network does not flatten the rest; the best mutation starts a local search of the acquisition.

With `proxies` the predictor sees zero-cost scores as well, as OMNI does (White et al., "How
powerful are performance predictors in neural architecture search?", NeurIPS 2021,
https://arxiv.org/abs/2104.01177): it is linear in their normal quantiles among the trials told. A
score takes a network, so that only those candidates are scored that promise most without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache
from random import Random
from typing import Literal, Self

import numpy as np
from pydantic import Field
from scipy.special import erfcx
from scipy.stats import norm, rankdata

from search.predictors.gaussian_process import Features, GaussianProcess, Vector
from search.predictors.path_encoding import PathEncoding
from search.predictors.proxy_scores import Matrix, Scorer, scores_of, standard_scores
from search.space import SearchSpace
from search.strategy import ScoredSettings, strategies, with_initial_samples
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

Keys = tuple[str, str]

MAX_POINTS = 400
"""Trials that the predictor is shown: the best half and the latest half of so many."""

MAX_NEIGHBOURS = 64
REMEMBERED = 4096
"""Candidates whose identity and features are kept."""

CLIMB = 3
"""Steps of the local search of the acquisition."""

PARENT_RANK = 5.0
"""Mean rank of a parent, exponentially distributed."""

MUTATIONS = (1, 1, 2, 3)
MAX_DRAWS = 20
DIGITS = 9
"""Acquisitions that agree so far are equal: the order of a sum must not choose the candidate."""


@strategies.register("bananas")
class Bananas:
    """Bayesian optimisation: the candidate that a Gaussian process expects to improve most."""

    objectives = 1

    class Settings(ScoredSettings):
        """The acquisition and where it is looked for."""

        initial_samples: int = Field(
            10,
            ge=2,
            le=100_000,
            description="results before the first prediction, at random as far as nothing else was "
            "tried first; default: a quarter of the trials, at most 10",
        )
        candidates: int = Field(
            200, ge=1, le=100_000, description="mutations of the best that are scored for an ask"
        )
        acquisition: Literal["expected_improvement", "thompson", "ucb"] = Field(
            "expected_improvement",
            description="of the candidates; thompson: independent samples, as in the paper",
        )
        exploration: float = Field(
            1.0, ge=0, le=100, description="standard deviations that ucb adds to the mean"
        )
        scored: int = Field(
            32,
            ge=1,
            le=100_000,
            description="candidates of a choice that the proxies are asked of, the most promising",
        )

        def for_budget(self, trials: int) -> Self:
            return with_initial_samples(self, trials, self.initial_samples)

    def __init__(
        self, space: SearchSpace, settings: Settings, seed: int, scorer: Scorer | None = None
    ) -> None:
        """`scorer`: of the proxies of the settings.

        Raises:
            ValueError: there are proxies and no scorer, as for a table, which has no networks.
        """
        if settings.proxies and scorer is None:
            raise ValueError(f"there is no network to score by {', '.join(settings.proxies)}")
        self._space, self._settings, self._seed = space, settings, seed
        self._scorer = scorer if settings.proxies else None
        self._scores: list[tuple[float, ...]] = []  # of the first of the candidates told
        self._encode = lru_cache(REMEMBERED)(PathEncoding(space))  # the best is mutated at each ask
        self._keys = lru_cache(REMEMBERED)(space.keys)
        self._tried: set[Keys] = set()
        self._candidates: list[Candidate] = []
        self._features: list[Features] = []
        self._fitness: list[float] = []
        self._model: GaussianProcess | None = None

    def tell(self, trial: Trial) -> None:
        keys = self._keys(trial.candidate)
        if trial.fitness is not None and keys not in self._tried:
            self._candidates.append(trial.candidate)
            self._features.append(self._encode(trial.candidate))
            self._fitness.append(trial.fitness[0])
            self._model = None
        self._tried.add(keys)

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        busy = {self._keys(trial.candidate): trial.candidate for trial in running}
        known = self._tried | busy.keys()
        if len(self._fitness) < self._settings.initial_samples:
            return self._fresh(rng, known)
        if self._model is None:
            self._model = self._fitted()
        model = self._model.believing(*self._seen(list(busy.values())))
        order = sorted(range(len(self._fitness)), key=lambda i: -self._fitness[i])
        pool = self._unknown(self._proposals([self._candidates[i] for i in order], rng), known)
        if not pool:
            return self._fresh(rng, known)
        best, score = self._best(model, pool, rng)
        for _ in range(CLIMB):
            around = self._unknown(self._neighbours(best, rng), known)
            if not around:
                break
            climbed, higher = self._best(model, around, rng)
            if higher <= score:
                break
            best, score = climbed, higher
        return best

    def _fitted(self) -> GaussianProcess:
        """A new predictor of the normal quantiles of the ranks of the scores."""
        ranks = rankdata(self._fitness)
        quantiles = norm.ppf((ranks - 0.5) / len(ranks))
        best = sorted(range(len(ranks)), key=lambda i: -ranks[i])[: MAX_POINTS // 2]
        latest = [i for i in range(len(ranks)) if i not in set(best)][-(MAX_POINTS // 2) :]
        shown = sorted([*best, *latest])
        points = [self._features[i] for i in shown]
        if self._scorer is None:
            return GaussianProcess(points, quantiles[shown])
        self._scores += self._scored(self._candidates[len(self._scores) :])
        known = np.array(self._scores)
        trends = standard_scores(known[shown], known)
        return GaussianProcess(points, quantiles[shown], trends=trends)

    def _scored(self, candidates: Iterable[Candidate]) -> list[tuple[float, ...]]:
        assert self._scorer is not None  # noqa: S101 - for the type checker
        return [scores_of(c, self._settings.proxies, self._scorer) for c in candidates]

    def _seen(self, candidates: Sequence[Candidate]) -> tuple[list[Features], Matrix | None]:
        """What the predictor sees of candidates."""
        points: list[Features] = [self._encode(candidate) for candidate in candidates]
        trends: Matrix | None = None
        if self._scorer is not None and candidates:
            scores = np.array(self._scored(candidates))
            trends = standard_scores(scores, np.array(self._scores))
        return points, trends

    def _proposals(self, ranked: Sequence[Candidate], rng: Random) -> Iterator[Candidate]:
        """Mutations of the best, all neighbours of the very best, and some samples of the space."""
        for _ in range(self._settings.candidates):
            place = int(rng.expovariate(1.0 / PARENT_RANK))
            candidate = ranked[min(place, len(ranked) - 1)]
            for _ in range(rng.choice(MUTATIONS)):
                candidate = self._space.mutate(candidate, rng)
            yield candidate
        yield from self._neighbours(ranked[0], rng)
        for _ in range(self._settings.candidates // 4):
            yield self._space.sample(rng)

    def _neighbours(self, candidate: Candidate, rng: Random) -> list[Candidate]:
        neighbours = list(self._space.neighbours(candidate))
        return rng.sample(neighbours, min(len(neighbours), MAX_NEIGHBOURS))

    def _unknown(self, candidates: Iterable[Candidate], known: Set[Keys]) -> list[Candidate]:
        """Those that were not tried and do not run, one of each identity."""
        found: dict[Keys, Candidate] = {}
        for candidate in dict.fromkeys(candidates):
            found.setdefault(self._keys(candidate), candidate)
        return [candidate for keys, candidate in found.items() if keys not in known]

    def _fresh(self, rng: Random, known: Set[Keys]) -> Candidate:
        """A sample that was not tried, if a few draws find one."""
        for _ in range(MAX_DRAWS):
            candidate = self._space.sample(rng)
            if self._keys(candidate) not in known:
                break
        return candidate

    def _best(
        self, model: GaussianProcess, candidates: Sequence[Candidate], rng: Random
    ) -> tuple[Candidate, float]:
        """The candidate of the largest acquisition, and that."""
        if self._scorer is not None:
            plain = self._acquisition(*model.predict([self._encode(c) for c in candidates]), rng)
            first = np.argsort(-plain, kind="stable")[: self._settings.scored]
            candidates = [candidates[i] for i in first]
        scores = self._acquisition(*model.predict(*self._seen(candidates)), rng)
        best = int(np.argmax(scores))
        return candidates[best], float(scores[best])

    def _acquisition(self, mean: Vector, deviation: Vector, rng: Random) -> Vector:
        if self._settings.acquisition == "ucb":
            scores = mean + self._settings.exploration * deviation
        elif self._settings.acquisition == "thompson":
            scores = mean + deviation * np.array([rng.gauss() for _ in mean])
        else:
            scores = log_expected_improvement(
                mean, deviation, norm.ppf(1 - 0.5 / len(self._fitness))
            )
        rounded: Vector = np.round(scores, DIGITS)
        return rounded


def log_expected_improvement(mean: Vector, deviation: Vector, incumbent: float) -> Vector:
    """The logarithm of E[max(f - incumbent, 0)], Jones et al., 1998, equation 15, so that
    improbable improvements can be compared as well (Ament et al., NeurIPS 2023).
    """
    u = (mean - incumbent) / deviation
    mills = math.sqrt(math.pi / 2) * erfcx(-u / math.sqrt(2))  # Phi(u) / phi(u)
    log_density = -0.5 * u**2 - 0.5 * math.log(2 * math.pi)
    scores: Vector = np.log(deviation) + log_density + np.log(np.maximum(1.0 + u * mills, 1e-300))
    return scores
