"""NSGA-II against pymoo, and what Nasmith adds: steady state, constraint domination."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.optimize import minimize
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from scipy.stats import ttest_ind

from search.engine.stages.candidates import CANDIDATE
from search.results.hypervolume import hypervolume
from search.space import SearchSpace
from search.strategies.nsga2 import (
    Nsga2,
    crowded_order,
    crowding_distances,
    nondominated_fronts,
)
from search.strategies.random import RandomSearch
from search.strategy import Strategy
from search.trial import Candidate, Trial, TrialState
from tests.search.support.spaces import letters

VARIABLES, LEVELS = 6, 11
TRIALS, POPULATION, SEEDS = 400, 20, 8
REFERENCE = np.array([-1.1, -10.0])
FALSE_ALARM = 1e-4


def zdt1(x: NDArray[np.float64]) -> tuple[float, float]:
    """Zitzler, Deb and Thiele 2000, on a grid: both are minimised."""
    g = 1 + 9 * float(x[1:].mean())
    return float(x[0]), g * (1 - math.sqrt(float(x[0]) / g))


class GridZdt1(Problem):  # type: ignore[misc]  # pymoo has no types
    def __init__(self) -> None:
        super().__init__(n_var=VARIABLES, n_obj=2, xl=0, xu=LEVELS - 1, vtype=int)

    def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = np.array([zdt1(row / (LEVELS - 1)) for row in x])


class OneVariable(Mutation):  # type: ignore[misc]
    """The mutation of a search space: one variable takes another level."""

    def _do(self, problem: Problem, x: Any, random_state: Any = None, **kwargs: Any) -> Any:
        x = x.copy()
        for row in x:
            row[random_state.integers(VARIABLES)] += random_state.integers(1, LEVELS)
        return x % LEVELS


def space() -> SearchSpace:
    return letters(VARIABLES, tuple(range(LEVELS)))


def trial(number: int, candidate: Candidate, fitness: Any, violation: float = 0.0) -> Trial:
    return Trial(
        number,
        CANDIDATE,
        candidate,
        TrialState.COMPLETED,
        fitness=fitness,
        violation=violation,
    )


def objectives(candidate: Candidate) -> tuple[float, float]:
    levels = [float(value) for value in candidate.architecture.decisions.values()]
    f1, f2 = zdt1(np.array(levels) / (LEVELS - 1))
    return -f1, -f2


def reached(strategy: Strategy) -> float:
    """The hypervolume of a run in which four trials are always under way."""
    found, running = [], list[Trial]()
    for number in range(TRIALS):
        proposal = strategy.ask(number, tuple(running))
        assert isinstance(proposal, Candidate)
        running.append(trial(number, proposal, None))
        if len(running) == 4:
            done = running.pop(number % 4)
            found.append(objectives(done.candidate))
            strategy.tell(trial(done.number, done.candidate, found[-1]))
    return hypervolume(np.array(found), REFERENCE)


def made(make: Callable[..., Strategy], settings: Any, seed: int) -> float:
    return reached(make(space(), settings, seed))


def pymoo_reached(seed: int) -> float:
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UX(prob=0.9),
        mutation=OneVariable(),
        eliminate_duplicates=True,
    )
    result = minimize(
        GridZdt1(), algorithm, ("n_eval", TRIALS), seed=seed, save_history=False, verbose=False
    )
    return hypervolume(-np.asarray(result.F), REFERENCE)


def test_on_zdt1_it_is_as_good_as_pymoo_with_the_same_operators() -> None:
    settings = Nsga2.Settings(population_size=POPULATION)
    ours = [made(Nsga2, settings, seed) for seed in range(SEEDS)]
    random = [made(RandomSearch, RandomSearch.Settings(), seed) for seed in range(SEEDS)]
    theirs = [pymoo_reached(seed) for seed in range(SEEDS)]
    assert ttest_ind(ours, random, alternative="greater").pvalue < FALSE_ALARM
    assert ttest_ind(ours, theirs, alternative="less").pvalue > FALSE_ALARM


@pytest.mark.parametrize("count", [2, 3, 8])
def test_fronts_and_crowding_are_those_of_pymoo(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.integers(0, 12, (60, count)).astype(float)  # with ties and repeats
    fronts = nondominated_fronts(points)
    expected = NonDominatedSorting().do(-points)
    assert [sorted(front) for front in fronts] == [sorted(front.tolist()) for front in expected]
    spread = rng.random((30, count))  # pymoo scores repeats in its own way, and takes the mean
    distances = crowding_distances(spread) / count
    np.testing.assert_allclose(distances, calc_crowding_distance(-spread), rtol=1e-12)


def test_constraints_come_before_objectives() -> None:
    candidate = letters(1).sample(Random(0))
    population = [
        trial(0, candidate, None, violation=0.5),
        trial(1, candidate, (0.1, 0.1)),
        trial(2, candidate, None, violation=0.2),
        trial(3, candidate, (0.9, 0.9)),
    ]
    assert [rank for rank, _ in crowded_order(population)] == [3, 1, 2, 0]


class Constrained(Problem):  # type: ignore[misc]  # pymoo has no types
    def __init__(self) -> None:
        super().__init__(n_var=1, n_obj=2, n_ieq_constr=1, xl=0, xu=1)


@pytest.mark.parametrize("feasible", [0, 1, 15, 40])
def test_survivors_among_constraints_are_those_of_pymoo(feasible: int) -> None:
    rng, of = np.random.default_rng(feasible), letters(1)
    points, excess = rng.random((40, 2)), rng.permutation(40) / 10.0
    excess[rng.permutation(40)[:feasible]] = 0.0
    population = [
        trial(i, of.sample(Random(0)), None if over else tuple(point), over)
        for i, (point, over) in enumerate(zip(points.tolist(), excess.tolist(), strict=True))
    ]
    places = [(rank, -distance) for rank, distance in crowded_order(population)]
    order = sorted(range(40), key=lambda i: places[i])
    theirs = Population.new(X=np.arange(40)[:, None], F=-points, G=excess[:, None])
    compared = 0
    for count in range(1, 40):
        if places[order[count - 1]] == places[order[count]]:
            continue  # the last place is drawn by lot
        kept = RankAndCrowding().do(Constrained(), theirs, n_survive=count, random_state=rng)
        assert sorted(kept.get("X")[:, 0]) == sorted(order[:count])
        compared += 1
    assert compared > 20


def test_infeasible_trials_are_parents_until_feasible_ones_take_their_place() -> None:
    of = letters(4, "ab")
    base = of.values(of.sample(Random(0)))
    words = [
        of.candidate({**base, **{f"d{i}": letter for i, letter in enumerate(word)}})
        for word in ("aaaa", "aaab", "bbbb", "bbba")
    ]
    strategy = Nsga2(of, Nsga2.Settings(population_size=2, crossover_probability=0), 0)
    for number, candidate in enumerate(words[:2]):
        strategy.tell(trial(number, candidate, None, violation=1.0 + number))
    asked = [strategy.ask(number, ()) for number in range(2, 40)]
    assert all(list(c.architecture.decisions.values()).count("a") >= 2 for c in asked)
    for number, candidate in enumerate(words[2:], 2):
        strategy.tell(trial(number, candidate, (0.0, 0.0)))
    asked = [strategy.ask(number, ()) for number in range(4, 40)]
    assert all(list(c.architecture.decisions.values()).count("b") >= 2 for c in asked)
