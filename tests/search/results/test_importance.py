"""fANOVA against functions whose decomposition is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import pytest

from models.architecture import Decision
from models.domains import Choice
from search.engine.stages.candidates import CANDIDATE
from search.results.importance import MAX_TRIALS, importance, thinned
from search.space import SearchSpace
from search.trial import Candidate, Trial, TrialState
from tests.search.support.spaces import letters, space_of


def trial(number: int, candidate: Candidate, *fitness: float) -> Trial:
    return Trial(number, CANDIDATE, candidate, TrialState.COMPLETED, fitness=fitness)


def every(space: SearchSpace, *options: str) -> list[Candidate]:
    base = space.values(space.sample(Random(0)))
    return [
        space.candidate({**base, **{f"d{i}": value for i, value in enumerate(word)}})
        for word in product(*options)
    ]


def test_shares_of_an_additive_function_are_those_of_its_terms() -> None:
    """f = 3 x0 + x1 with x in {-1, 0, 1}: variances 9 : 1, and nothing for x2 and x3."""
    space, worth = letters(4), {"a": -1.0, "b": 0.0, "c": 1.0}
    trials = [
        trial(
            number,
            candidate,
            3 * worth[candidate.architecture.decisions["d0"]]
            + worth[candidate.architecture.decisions["d1"]],
            -worth[candidate.architecture.decisions["d2"]],
        )
        for number, candidate in enumerate(every(space, *["abc"] * 4))
    ]
    first = importance(space, trials, 0)
    assert list(first)[:2] == ["d0", "d1"]
    assert first == pytest.approx({"d0": 0.9, "d1": 0.1, "d2": 0.0, "d3": 0.0}, abs=0.03)
    assert importance(space, trials, 1)["d2"] == pytest.approx(1.0, abs=0.03)
    assert first == importance(space, trials, 0)


def test_an_interaction_is_nobodys_share() -> None:
    """f = x0 xor x1: no decision explains anything by itself."""
    space = letters(2, "ab")
    words = every(space, "ab", "ab") * 8
    trials = [
        trial(n, c, float(len(set(c.architecture.decisions.values())))) for n, c in enumerate(words)
    ]
    assert importance(space, trials, 0) == pytest.approx({"d0": 0.0, "d1": 0.0}, abs=0.05)


def test_what_switches_a_decision_on_is_not_its_own_merit() -> None:
    """The score is that of `block` alone; `kernel` exists for one block and does nothing."""
    space = space_of(
        Decision("block", Choice(("plain", "wide"))),
        Decision("kernel", Choice((3, 5, 7)), when=(("block", ("wide",)),)),
        learning_rate={"low": 0.001, "high": 0.1, "log": True},
    )
    drawn = [space.sample(Random(seed)) for seed in range(80)]
    trials = [
        trial(n, c, float(c.architecture.decisions["block"] == "wide")) for n, c in enumerate(drawn)
    ]
    shares = importance(space, trials, 0)
    assert shares.keys() == {"block", "kernel", "training.learning_rate"}
    assert shares["block"] == pytest.approx(1.0, abs=0.02)
    tuned = [replace(t, fitness=(t.candidate.recipe.learning_rate,)) for t in trials]
    assert next(iter(importance(space, tuned, 0))) == "training.learning_rate"


def test_too_little_to_say_anything() -> None:
    space = letters(2)
    candidates = every(space, "abc", "abc")
    few = [trial(n, candidate, float(n)) for n, candidate in enumerate(candidates)]
    assert importance(space, few, 0) == {}
    assert importance(space, [trial(n, candidates[n % 9], 1.0) for n in range(20)], 0) == {}
    elsewhere = [trial(n, every(letters(2, "xyz"), "x", "y")[0], float(n)) for n in range(20)]
    assert importance(space, elsewhere, 0) == {}
    assert len(thinned(range(10**6))) == MAX_TRIALS and thinned(range(3)) == range(3)
