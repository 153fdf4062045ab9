import math
from collections.abc import Iterator

import pytest

from search.engine.control import Orders, Steering
from search.engine.journal import EpochReported, MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.evaluation import EvaluationError, Measurement
from search.spec import Budget
from search.strategy import strategies
from search.trial import FailureKind, Trial, TrialState
from tests.search.support.spaces import Scored, letters, share_of_a, spec_of


def run_of(trials: int = 4, seconds: float | None = None) -> tuple[SearchRun, MemoryJournal]:
    space, journal = letters(5), MemoryJournal()
    spec = spec_of(budget=Budget(trials=trials, seconds=seconds))
    entry = strategies["random"]
    return SearchRun(spec, space, entry(space, entry.Settings(), 0), journal, lambda c: {}), journal


class Script:
    """A control that gives its orders one after another, and then the last again and again."""

    def __init__(self, *orders: Orders) -> None:
        self._orders = list(orders)

    def orders(self) -> Orders:
        return self._orders.pop(0) if len(self._orders) > 1 else self._orders[0]


def test_a_search_runs_to_its_end() -> None:
    run, journal = run_of()
    run_serial(run, evaluator := Scored())
    assert run.finished and run.failed_reason is None
    assert [trial.number for trial in evaluator.seen] == [0, 1, 2, 3, 4, 5]
    reports = [event for event in journal.events if isinstance(event, EpochReported)]
    assert [(report.number, report.epoch) for report in reports] == [
        (number, epoch) for number in range(6) for epoch in (1, 2)
    ]
    final = run.trials[-1]
    assert final.kind is FINAL and final.worker == "serial" and final.seconds >= 0
    assert final.metrics["test_accuracy"] == pytest.approx(share_of_a(final) - 0.01)


def test_what_a_trial_raises_is_its_failure_alone() -> None:
    class Failing(Scored):
        def evaluate(self, trial: Trial) -> Iterator[Measurement]:
            if trial.number == 0:
                known = {"flops": 3.0, "latency_ms": math.nan}
                raise EvaluationError(FailureKind.OUT_OF_MEMORY, "3 GB are not there", known)
            yield from super().evaluate(trial)
            if trial.number == 1:
                raise ZeroDivisionError("after the last epoch")

    run, _ = run_of()
    run_serial(run, Failing())
    first, second, third, *_ = run.trials
    assert first.failure and first.failure.kind is FailureKind.OUT_OF_MEMORY
    assert (first.metrics, second.metrics) == ({"flops": 3.0}, {})
    assert second.failure and second.failure.message == "ZeroDivisionError: after the last epoch"
    assert third.state is TrialState.COMPLETED and run.failed_reason is None


def test_an_epoch_told_again_for_restored_weights_is_the_result_and_no_new_epoch() -> None:
    class Restoring(Scored):
        def evaluate(self, trial: Trial) -> Iterator[Measurement]:
            for epoch, score in ((1, 0.9), (2, 0.1), (1, 0.9)):
                yield Measurement({"epoch": float(epoch), "val_accuracy": score})

    run, journal = run_of(1)
    run_serial(run, Restoring())
    reports = [event for event in journal.events if isinstance(event, EpochReported)]
    assert [report.epoch for report in reports if report.number == 0] == [1, 2]
    assert run.trials[0].metrics["val_accuracy"] == 0.9


def test_an_evaluator_that_yields_nothing_has_no_result() -> None:
    run, _ = run_of(1)
    run_serial(run, Scored(epochs=0))
    assert run.failed_reason and "lacks the objective val_accuracy" in run.failed_reason


def test_a_pause_comes_after_the_running_trial_and_the_search_goes_on_later() -> None:
    run, journal = run_of()
    run_serial(run, Scored(), Script(Orders(), Orders("pause")))
    assert not run.finished and run.running == () and run.trials_spent == 1
    space, entry = letters(5), strategies["random"]
    resumed = SearchRun(spec_of(4), space, entry(space, entry.Settings(), 0), journal, lambda c: {})
    run_serial(resumed, evaluator := Scored())
    assert resumed.finished and [trial.number for trial in evaluator.seen] == [1, 2, 3, 4, 5]


def test_a_cancellation_stops_the_running_trial_at_its_next_epoch() -> None:
    run, journal = run_of()
    run_serial(run, Scored(epochs=50), Script(Orders(), Orders(), Orders("cancel")))
    assert run.finished and run.failed_reason is None
    assert [trial.state for trial in run.trials] == [TrialState.PRUNED]
    assert len([event for event in journal.events if isinstance(event, EpochReported)]) == 2


def test_orders_change_the_budget() -> None:
    run, _ = run_of(2)
    run_serial(run, Scored(), Script(Orders(trials=5)))
    assert run.trials_spent == 5


def test_the_end_of_the_time_budget_leads_to_the_finals_of_the_best_so_far() -> None:
    run, _ = run_of(1000, seconds=0.3)

    class Slow(Scored):
        def evaluate(self, trial: Trial) -> Iterator[Measurement]:
            from time import sleep

            for measured in super().evaluate(trial):
                sleep(0.02)
                yield measured

    run_serial(run, Slow())
    assert run.finished and run.failed_reason is None
    states = [trial.state for trial in run.trials if trial.kind is CANDIDATE]
    assert states.count(TrialState.PRUNED) <= 1
    assert 1 <= states.count(TrialState.COMPLETED) < 30
    finals = sum(trial.kind is FINAL for trial in run.trials)
    assert 1 <= finals <= 2, "as many as the time that is left has room for, and one in any case"


def test_the_clock_of_the_budget_starts_with_the_engine() -> None:
    run, _ = run_of(5)
    now = [100.0]
    steering = Steering(run, Script(Orders(seconds=10.0)), clock=lambda: now[0])
    assert run.next_trial()
    steering.check()
    now[0] = 109.9
    steering.check()
    assert run.phase == "searching"
    now[0] = 110.0
    steering.check()
    assert run.running == () and run.finished
    assert run.failed_reason and "the time budget of 10 s has ended" in run.failed_reason
