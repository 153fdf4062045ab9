"""A strategy beside a memory of earlier searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import pytest

from models.architecture import Architecture
from search.engine.stages.candidates import CANDIDATE
from search.memory import Recollection, Remembered
from search.recalling import ON_TRUST, Recalling
from search.strategy import strategies
from search.trial import Candidate, Trial, TrialState
from tests.search.support.spaces import letters

SPACE = letters(4)
"""81 points."""

Score = Callable[[Candidate], float]


def worth(candidate: Candidate) -> float:
    """The best is (c, c, c, c); no two are equal."""
    digits = ("abc".index(str(value)) for value in candidate.architecture.decisions.values())
    return float(sum(digit * 3**place for place, digit in enumerate(digits)))


def remembered(score: Score, name: str = "srch_1", last: Sequence[str] = "abc") -> Remembered:
    """Every second of the points whose last letter is among these, with their places by a score."""
    points = [
        SPACE.nearest(Architecture("listed", {f"d{i}": x for i, x in enumerate(values)}), {})
        for values in product("abc", "abc", "abc", last)
    ][::-2]
    ranked = sorted(points, key=score, reverse=True)
    return Remembered(
        name,
        "other",
        "f" * 64,
        len(ranked),
        tuple(
            Recollection(candidate, *SPACE.keys(candidate), 1 - (place + 0.5) / len(ranked))
            for place, candidate in enumerate(ranked)
        ),
    )


def built(memory: Sequence[Remembered], inner: str = "random") -> Recalling:
    return Recalling(strategies[inner](SPACE, strategies[inner].Settings(), 0), SPACE, memory)


def ended(number: int, candidate: Candidate, score: Score) -> Trial:
    keys = SPACE.keys(candidate)
    values = (number, CANDIDATE, candidate, TrialState.COMPLETED)
    return Trial(*values, *keys, fitness=(score(candidate),))


def searched(strategy: Recalling, asks: int, score: Score) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(asks):
        proposal = strategy.ask(number, ())
        assert isinstance(proposal, Candidate)
        trials.append(ended(number, proposal, score))
        strategy.tell(trials[-1])
    return trials


def recalls(trials: Sequence[Trial], memory: Remembered) -> list[bool]:
    known = {found.architecture_key for found in memory.recollections}
    return [trial.architecture_key in known for trial in trials]


def test_what_ranked_best_elsewhere_is_tried_first_whatever_the_unit_of_its_score() -> None:
    memory = remembered(lambda candidate: worth(candidate) ** 3)
    trials = searched(built([memory]), 12, lambda candidate: -1 / (1 + worth(candidate)))
    assert trials[0].candidate == memory.recollections[0].candidate
    assert sum(recalls(trials, memory)) >= 8, "it goes on being right"


def test_a_memory_that_is_wrong_costs_three_trials_and_then_the_strategy_is_alone() -> None:
    """In reversed order the correlation is -1: 4 - 3 - sqrt(3) < 0 after the three on trust, and
    more so after each further one.
    """
    memory = remembered(worth)
    trials = searched(built([memory]), 30, lambda candidate: -worth(candidate))
    assert recalls(trials, memory)[:ON_TRUST] == [True] * ON_TRUST
    alone = strategies["random"](SPACE, strategies["random"].Settings(), 0)
    for trial in trials[:ON_TRUST]:
        alone.tell(trial)
    for trial in trials[ON_TRUST:]:
        assert trial.candidate == alone.ask(trial.number, ())
        alone.tell(trial)


def test_a_memory_of_what_is_poor_is_left_once_the_strategy_asks_for_better() -> None:
    """It orders all points rightly, and has fourteen of the worst 27 alone."""
    memory = remembered(worth, last="a")
    trials = searched(built([memory], "bananas"), 30, worth)
    own = [
        trial
        for trial, recalled in zip(trials, recalls(trials, memory), strict=True)
        if not recalled
    ]
    best = max(trials, key=lambda trial: trial.fitness or ())
    assert best in own and worth(best.candidate) == 80
    assert not any(recalls(trials, memory)[15:])


def test_the_search_that_is_right_is_followed_and_not_the_one_that_is_wrong() -> None:
    right = remembered(worth, "srch_1")
    wrong = remembered(lambda candidate: -worth(candidate), "srch_2", last="a")
    trials = searched(built([wrong, right]), 14, worth)
    assert sum(recalls(trials[6:], right)) > sum(recalls(trials[6:], wrong))


@pytest.mark.parametrize("inner", ["bananas", "regularized_evolution"])
def test_it_is_a_function_of_what_it_was_told(inner: str) -> None:
    """Beside any strategy, with trials that run meanwhile, fail and repeat."""
    memory = [remembered(worth)]
    strategy, history = built(memory, inner), list[Trial]()
    for number in range(12):
        running = [replace(t, state=TrialState.RUNNING, fitness=None) for t in history[-1:]]
        proposal = strategy.ask(number, running)
        assert proposal == strategy.ask(number, running), "it changes by being asked"
        again = built(memory, inner)
        for trial in history[:-1]:
            again.tell(trial)
        assert proposal == again.ask(number, running)
        assert isinstance(proposal, Candidate)
        assert running == [] or SPACE.keys(proposal) != SPACE.keys(running[0].candidate)
        if history:
            strategy.tell(history[-1])
        failed = number % 5 == 4
        trial = ended(number, proposal, worth)
        if failed:
            trial = replace(trial, state=TrialState.FAILED, fitness=None)
        history.append(trial)


def test_what_is_remembered_is_the_same_after_it_was_stored() -> None:
    memory = remembered(worth)
    assert Remembered.from_json(memory.to_json()) == memory
