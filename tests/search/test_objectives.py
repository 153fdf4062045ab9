import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.engine.stages.candidates import CANDIDATE
from search.objectives import (
    Constraint,
    Incumbents,
    Objective,
    best_trials,
    dominates,
    excess,
    fitness,
    violation,
)
from search.trial import Trial, TrialState
from tests.search.support.spaces import letters

POINT = letters(1).sample(Random(0))
ACCURACY = Objective(metric="val_accuracy")
SIZE = Objective(metric="parameters", goal="minimize")


def trial(number: int, score: Sequence[float] | None, key: str = "", recipe: str = "") -> Trial:
    return Trial(
        number,
        CANDIDATE,
        POINT,
        TrialState.COMPLETED,
        architecture_key=key or f"a{number}",
        recipe_key=recipe,
        fitness=None if score is None else tuple(score),
    )


def test_equal_scores_go_to_the_smaller_loss_where_a_search_says_so() -> None:
    """On few samples many trials tie: how sure they are still tells them apart."""
    losses = {0: 0.7, 1: 0.5, 2: 0.9, 3: 0.1}
    trials = [
        replace(trial(number, (0.8 if number < 3 else 0.7,)), metrics={"val_loss": loss})
        for number, loss in losses.items()
    ]
    without = replace(trial(4, (0.8,)), metrics={})
    for order in (trials, trials[::-1]):
        assert numbers(best_trials([*order, without], 4, by_loss=True)) == [1, 0, 2, 4]
        assert numbers(best_trials([*order, without], 4)) == [0, 1, 2, 4]


def numbers(trials: Sequence[Trial]) -> list[int]:
    return [trial.number for trial in trials]


def test_bigger_fitness_is_better_whatever_the_goal() -> None:
    metrics = {"val_accuracy": 0.9, "parameters": 100.0}
    assert fitness(metrics, [ACCURACY, SIZE]) == (0.9, -100.0)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_there_is_no_fitness_without_every_finite_objective(value: float | None) -> None:
    metrics = {"val_accuracy": 0.9} | ({} if value is None else {"parameters": value})
    assert fitness(metrics, [ACCURACY, SIZE]) is None


def test_a_broken_or_unmeasured_limit_leaves_no_fitness() -> None:
    limit = Constraint(metric="latency_ms", max=5, min=1)
    assert fitness({"val_accuracy": 0.9, "latency_ms": 5.0}, [ACCURACY], [limit]) == (0.9,)
    for metrics in ({"latency_ms": 5.1}, {"latency_ms": 0.9}, {}):
        assert fitness({"val_accuracy": 0.9, **metrics}, [ACCURACY], [limit]) is None


def test_a_violation_names_value_and_limit() -> None:
    limits = [Constraint(metric="flops", min=10), Constraint(metric="parameters", max=200)]
    assert violation({"parameters": 200.0, "flops": 10.0}, limits) is None
    assert violation({}, limits) is None
    assert violation({"parameters": 201.0}, limits) == (
        "parameters 201 is above the constraint's max 200"
    )
    assert violation({"flops": 9.0}, limits) == "flops 9 is below the constraint's min 10"


@pytest.mark.parametrize("limits", [{}, {"max": 1, "min": 2}, {"max": math.nan}, {"max": "1"}])
def test_a_constraint_has_a_limit_that_makes_sense(limits: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Constraint.model_validate({"metric": "parameters", **limits})


def test_the_excess_is_summed_in_units_of_the_limits() -> None:
    limits = [Constraint(metric="flops", min=10), Constraint(metric="parameters", max=200)]
    assert excess({"parameters": 250.0, "flops": 5.0}, limits) == 0.25 + 0.5
    assert excess({"parameters": 200.0}, limits) == 0.0
    assert excess({"val_loss": 0.3}, [Constraint(metric="val_loss", max=0)]) == 0.3


scores = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 5), st.integers(0, 5))), max_size=12
)


@given(scores)
def test_the_pareto_set_is_what_nothing_dominates(points: list[tuple[int, int] | None]) -> None:
    trials = [trial(number, point) for number, point in enumerate(points)]
    expected = {
        t.number
        for t in trials
        if t.fitness is not None
        and not any(dominates(other.fitness, t.fitness) for other in trials if other.fitness)
    }
    found = best_trials(trials, len(trials) + 1)
    assert set(numbers(found)) == expected
    assert numbers(found) == numbers(best_trials(list(reversed(trials)), len(trials) + 1))
    assert [t.fitness for t in found] == sorted((t.fitness for t in found), reverse=True)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=15))
def test_the_top_is_the_best_of_each_architecture(points: list[tuple[int, str]]) -> None:
    trials = [trial(n, (score,), key, f"r{n}") for n, (score, key) in enumerate(points)]
    best_of_key = {
        key: min(
            (t for t in trials if t.architecture_key == key),
            key=lambda t: (-t.fitness[0], t.number),
        )
        for key in {t.architecture_key for t in trials}
    }
    expected = sorted(best_of_key.values(), key=lambda t: (-t.fitness[0], t.number))[:2]
    assert best_trials(trials, 2) == expected
    assert best_trials(trials[::-1], 2) == expected


def test_equal_fitness_goes_to_the_earlier_trial_in_whatever_order_they_end() -> None:
    trials = [trial(number, (0.5,)) for number in range(4)]
    for order in permutations(trials):
        incumbents = Incumbents(1, 2)
        for ended in order:
            incumbents.add(ended)
        assert numbers(incumbents.best()) == [0, 1]


def test_without_a_score_there_is_no_best() -> None:
    assert best_trials([], 3) == best_trials([trial(0, None)], 3) == []
    assert not Incumbents(1, 3)


def test_domination_needs_one_better_and_none_worse() -> None:
    assert dominates((1, 2), (1, 1))
    assert not dominates((1, 1), (1, 1))
    assert not dominates((2, 0), (1, 1))
