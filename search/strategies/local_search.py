"""Local search, White et al., 2020, https://arxiv.org/abs/2005.02960, Algorithm 1.

Two deviations: the walk moves at the first better neighbour, not after all of them, and starts at
the best of several random samples. At a local optimum the next walk begins elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from pydantic import Field

from search.space import SearchSpace
from search.strategy import StrategySettings, strategies, with_initial_samples
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

Keys = tuple[str, str]

MAX_DRAWS = 20
"""Samples drawn in a row to find one that was not tried before."""


@dataclass(slots=True)
class Walk:
    """From a few random samples to a local optimum.

    samples: new candidates that were told since the walk began.
    untried: neighbours of the centre that were not told, once the walk `is_open`.
    """

    samples: int = 0
    centre: Candidate | None = None
    fitness: tuple[float, ...] = ()
    is_open: bool = False
    untried: dict[Keys, Candidate] = field(default_factory=dict)


@strategies.register("local_search")
class LocalSearch:
    """Neighbours of the best of a walk in random order; a better one is the next centre."""

    objectives = 1

    class Settings(StrategySettings):
        """Where a walk starts."""

        # Queries until the best 0.1 % of NAS-Bench-201 (cifar10) and of NAS-Bench-Graph (cora),
        # cap 300, 60 to 100 seeds, standard error 6: 1: 76; 5: 70 and 194; 10: 68 and 198; 20: 79.
        initial_samples: int = Field(
            10,
            ge=1,
            le=100_000,
            description="results of which the best starts a walk, at random as far as nothing else "
            "was tried first; default: a quarter of the trials, at most 10",
        )

        def for_budget(self, trials: int) -> Self:
            return with_initial_samples(self, trials, self.initial_samples)

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._tried: set[Keys] = set()
        self._walk = Walk()

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        busy = {self._space.keys(trial.candidate) for trial in running}
        neighbours = [c for keys, c in self._walk.untried.items() if keys not in busy]
        if neighbours:
            return rng.choice(neighbours)
        for _ in range(MAX_DRAWS):
            candidate = self._space.sample(rng)
            keys = self._space.keys(candidate)
            if keys not in self._tried and keys not in busy:
                break
        return candidate

    def tell(self, trial: Trial) -> None:
        keys, walk = self._space.keys(trial.candidate), self._walk
        walk.samples += keys not in self._tried
        self._tried.add(keys)
        walk.untried.pop(keys, None)
        if trial.fitness is not None and trial.fitness > walk.fitness:
            walk.centre, walk.fitness, walk.is_open = trial.candidate, trial.fitness, False
        if walk.centre is None or walk.samples < self._settings.initial_samples:
            return
        if not walk.is_open:
            walk.untried, walk.is_open = self._neighbours(walk.centre), True
        if not walk.untried:
            self._walk = Walk()

    def _neighbours(self, centre: Candidate) -> dict[Keys, Candidate]:
        """Those that were not tried, one of each identity."""
        found = {self._space.keys(c): c for c in self._space.neighbours(centre)}
        return {keys: c for keys, c in found.items() if keys not in self._tried}
