"""NSGA-II, Deb et al., IEEE Transactions on Evolutionary Computation 2002,
https://doi.org/10.1109/4235.996017.

Fast non-dominated sorting (section III-A), crowding distance (III-B), the crowded-comparison
operator and constraint domination (section VI). Three deviations. It is steady state: each result
joins the population and the last one of the order leaves it, as in Durillo et al., EMO 2009, so
that no result waits for the rest of a generation. Crossover is uniform and a mutation changes one
decision, because a space has no real vectors to recombine. What was tried before is not proposed
again: a child that was is mutated until it is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from search.space import SearchSpace
from search.strategy import (
    MANY_OBJECTIVES,
    StrategySettings,
    strategies,
    with_initial_samples,
)
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

Keys = tuple[str, str]
Points = NDArray[np.float64]

MAX_MUTATIONS = 20
"""Of a child, until it is new."""


@strategies.register("nsga2")
class Nsga2:
    """Parents by rank and crowding among several objectives; constraints before objectives."""

    objectives = MANY_OBJECTIVES

    class Settings(StrategySettings):
        """The population and how children are made."""

        population_size: int = Field(30, ge=2, le=10_000, description="N in the paper")
        crossover_probability: float = Field(
            0.9, ge=0, le=1, description="p_c; else the child has one parent"
        )
        initial_samples: int | None = Field(
            None,
            ge=1,
            le=100_000,
            description="results before the first child, at random as far as nothing else was "
            "tried first; null: a whole population; default: a quarter of the trials, or that",
        )

        def for_budget(self, trials: int) -> Self:
            return with_initial_samples(self, trials, self.population_size)

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        whole = settings.population_size
        self._initial = min(whole, settings.initial_samples or whole)
        self._tried: set[Keys] = set()
        self._population: list[Trial] = []  # in the order of numbers of being told
        self._order: list[tuple[int, float]] = []  # (rank, crowding distance) of each

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        known = self._tried | {self._space.keys(trial.candidate) for trial in running}
        if len(self._population) < self._initial:
            child = self._space.sample(rng)
        else:
            child = self._tournament(rng)
            if rng.random() < self._settings.crossover_probability:
                child = self._space.crossover(child, self._tournament(rng), rng)
            child = self._space.mutate(child, rng)
        for _ in range(MAX_MUTATIONS):
            if self._space.keys(child) not in known:
                break
            child = self._space.mutate(child, rng)
        return child

    def tell(self, trial: Trial) -> None:
        keys = self._space.keys(trial.candidate)
        is_new = keys not in self._tried
        self._tried.add(keys)
        if not is_new or (trial.fitness is None and not trial.violation):
            return
        self._population.append(trial)
        if len(self._population) < self._initial:
            return
        self._order = crowded_order(self._population)
        if len(self._population) > self._settings.population_size:
            worst = max(range(len(self._order)), key=lambda i: (_place(self._order[i]), i))
            del self._population[worst]
            self._order = crowded_order(self._population)

    def _tournament(self, rng: Random) -> Candidate:
        """The better of two by the crowded-comparison operator; the first drawn among equals."""
        drawn = [rng.randrange(len(self._population)) for _ in range(2)]
        return self._population[min(drawn, key=lambda i: _place(self._order[i]))].candidate


def _place(order: tuple[int, float]) -> tuple[int, float]:
    """Smaller is better: the lower rank, then the less crowded."""
    rank, distance = order
    return rank, -distance


def crowded_order(population: Sequence[Trial]) -> list[tuple[int, float]]:
    """Rank and crowding distance of each trial, by constraint domination: the feasible ones come
    first, front by front, then the others by how far they are outside the constraints.
    """
    order: list[tuple[int, float]] = [(0, 0.0)] * len(population)
    feasible = [i for i, trial in enumerate(population) if trial.fitness is not None]
    points = np.array([population[i].fitness for i in feasible], dtype=np.float64)
    fronts = nondominated_fronts(points) if feasible else []
    for rank, front in enumerate(fronts):
        for i, distance in zip(front, crowding_distances(points[front]), strict=True):
            order[feasible[i]] = (rank, float(distance))
    violations = sorted({trial.violation for trial in population if trial.fitness is None})
    for i, trial in enumerate(population):
        if trial.fitness is None:
            order[i] = (len(fronts) + violations.index(trial.violation), 0.0)
    return order


def nondominated_fronts(points: Points) -> list[list[int]]:
    """Indices of the fronts, the best first; bigger is better.

    Shapes:
        points: (N, objectives)
    """
    no_worse = (points[:, None] >= points[None]).all(axis=2)
    beats = no_worse & ~no_worse.T
    fronts: list[list[int]] = []
    left = np.ones(len(points), dtype=bool)
    while left.any():
        front = left & ~(beats & left[:, None]).any(axis=0)
        fronts.append(np.flatnonzero(front).tolist())
        left &= ~front
    return fronts


def crowding_distances(front: Points) -> Points:
    """Of each point of one front: the sides of the cuboid of its neighbours, in units of the
    front's extent and summed over the objectives; infinite at the ends.

    Shapes:
        front: (N, objectives) -> (N,)
    """
    distances = np.zeros(len(front))
    for values in front.T:
        order = np.argsort(values, kind="stable")
        extent = values[order[-1]] - values[order[0]]
        distances[order[[0, -1]]] = np.inf
        if extent > 0:
            distances[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / extent
    return distances
