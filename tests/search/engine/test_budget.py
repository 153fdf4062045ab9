"""`budget.seconds` is the whole search. Time is a number here, and a trial costs what it is told
to: every expectation is worked out by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluation import Measurement
from search.spec import Budget, Final
from search.trial import FailureKind, Trial, TrialState
from tests.search.support.runs import strategy_of
from tests.search.support.spaces import letters, share_of_a, spec_of


class Clocked:
    """Every epoch takes `seconds` of a clock that nothing else moves; `folds` networks a candidate
    have theirs one after another.
    """

    def __init__(self, seconds: float, epochs: int = 8, folds: int = 1) -> None:
        self._seconds, self._epochs, self._folds = seconds, epochs, folds
        self.now = 0.0

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        is_final = trial.kind.sees_test
        epochs = trial.candidate.recipe.epochs if is_final else self._epochs
        for epoch in range(1, epochs + 1):
            self.now += self._seconds * (1 if is_final else self._folds)
            yield Measurement({"epoch": float(epoch), "val_accuracy": share_of_a(trial)})


def searched(
    evaluator: Clocked, seconds: float, trials: int = 1000, folds: int = 1, **fields: Any
) -> SearchRun:
    """Of 8 epochs a candidate, as the default recipe has it."""
    space = letters(9)
    spec = spec_of(budget=Budget(trials=trials, seconds=seconds), **fields)
    strategy = strategy_of("random", space)
    run = SearchRun(spec, space, strategy, MemoryJournal(), lambda c: {}, networks_per_trial=folds)
    run_serial(run, evaluator, clock=lambda: evaluator.now)
    assert run.finished
    return run


def counted(run: SearchRun, state: TrialState = TrialState.COMPLETED) -> Counter[str]:
    return Counter(str(trial.kind) for trial in run.trials if trial.state is state)


def test_the_search_stage_leaves_the_finals_their_time() -> None:
    """A trial takes 2 s, a final of 24 epochs 6 s: of 60 s two finals leave 48, which is 24 trials.
    None of them is begun in vain.
    """
    evaluator = Clocked(0.25)
    run = searched(evaluator, 60, final=Final(top=1, seeds=2, epochs=24))
    assert counted(run) == {"candidate": 24, "final": 2}
    assert counted(run, TrialState.PRUNED) == {} and evaluator.now == 60
    assert run.failed_reason is None and run.exhausted_reason is None


def test_finals_that_may_train_twice_are_left_twice_the_time() -> None:
    """Two of 2 x 6 s: of 60 s they leave 36, which is 18 trials of 2 s."""
    final = Final(top=1, seeds=2, epochs=24, data="train+val", patience=12)
    run = searched(Clocked(0.25), 60, final=final)
    assert counted(run) == {"candidate": 18, "final": 2}


def test_of_folds_a_final_trains_one_network() -> None:
    """A trial takes 4 x 2 s, a final of 24 epochs 6 s, and not 24."""
    evaluator = Clocked(0.25, folds=4)
    run = searched(evaluator, 60, folds=4, final=Final(top=1, seeds=2, epochs=24))
    assert counted(run) == {"candidate": 6, "final": 2} and evaluator.now == 60


def test_random_search_gets_as_many_trials_within_the_time() -> None:
    """Trials of 2 s, a final of 6 s: 54 s are left for pairs of 4 s, and one without a partner."""
    evaluator = Clocked(0.25)
    run = searched(evaluator, 60, baseline="random", final=Final(top=1, seeds=1, epochs=24))
    assert counted(run) == {"candidate": 14, "baseline": 13, "final": 1}
    assert evaluator.now == 2 * 27 + 6 == 60


def test_finals_that_take_most_of_the_time_get_half_of_it() -> None:
    """Six finals of 6 s would leave 4 s of 40: the search has 20 of them, and three finals fit."""
    evaluator = Clocked(0.25)
    run = searched(evaluator, 40, final=Final(top=2, seeds=3, epochs=24))
    assert counted(run) == {"candidate": 10, "final": 3} and evaluator.now == 38
    assert run.failed_reason is None
    assert run.exhausted_reason == "the time budget ended after 3 of 6 final trainings"


def test_one_final_is_trained_however_short_the_time() -> None:
    """A trial of 16 s leaves 4 of 20, a final takes 48: the search has no model without one."""
    evaluator = Clocked(2)
    run = searched(evaluator, 20, final=Final(top=1, seeds=3, epochs=24))
    assert counted(run) == {"candidate": 1, "final": 1} and evaluator.now == 64


def test_what_takes_longer_than_the_trials_before_is_pruned_at_the_end_of_its_time() -> None:
    class Slower(Clocked):
        def evaluate(self, trial: Trial) -> Iterator[Measurement]:
            self._seconds = 100.0 if trial.number == 3 else 0.25
            yield from super().evaluate(trial)

    evaluator = Slower(0.25)
    run = searched(evaluator, 60, final=Final(top=1, seeds=1, epochs=24))
    assert counted(run) == {"candidate": 3, "final": 1}
    (pruned,) = (trial for trial in run.trials if trial.state is TrialState.PRUNED)
    assert pruned.number == 3 and pruned.failure
    assert pruned.failure.kind is FailureKind.BUDGET
    assert pruned.failure.message == "the time budget of 60 s has ended"


@pytest.mark.parametrize("seconds", [None, 10_000])
def test_a_search_that_ends_before_its_time_is_as_if_there_was_no_limit(seconds: Any) -> None:
    evaluator = Clocked(0.25)
    run = searched(evaluator, seconds, trials=5, final=Final(top=2, seeds=2, epochs=24))
    assert counted(run) == {"candidate": 5, "final": 4} and run.exhausted_reason is None
