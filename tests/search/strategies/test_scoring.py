import math

import pytest

from search.engine.journal import EpochReported, MemoryJournal
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.engine.stages.finals import FINAL
from search.objectives import Constraint
from search.strategy import strategies
from search.trial import Failure, FailureKind, TrialState
from tests.search.support.runs import (
    SHARING,
    Listed,
    Listening,
    candidates,
    complete,
    started,
    strategy_of,
)
from tests.search.support.spaces import letters, spec_of


def test_what_its_evaluator_refuses_is_infeasible_by_so_much_and_costs_no_budget() -> None:
    space = letters(1)
    spec = spec_of(1, constraints=(Constraint(metric="latency_ms", max=5),))
    strategy = Listening(Listed(candidates(space, "a", "b")))
    run = started(space, strategy, spec)
    slow = run.next_trial()
    assert slow
    refusal = Failure(FailureKind.INFEASIBLE, "latency_ms 6 is above the constraint's max 5")
    run.fail(slow.number, refusal, 0.1, metrics={"latency_ms": 6.0})
    (told,) = strategy.told
    assert told.failure == refusal and told.fitness is None and told.is_refused
    assert told.violation == pytest.approx(0.2)
    assert run.trials_spent == 0
    fast = run.next_trial()
    assert fast
    complete(run, fast, latency_ms=4.0)
    assert run.trials_spent == 1


def test_a_measured_limit_leaves_a_trial_out_of_the_best() -> None:
    space = letters(1)
    spec = spec_of(2, constraints=(Constraint(metric="latency_ms", max=5),))
    strategy = Listening(Listed(candidates(space, "a", "b")))
    run = started(space, strategy, spec)
    slow, fast = run.next_trial(), run.next_trial()
    assert slow and fast
    complete(run, slow, latency_ms=6.0)
    complete(run, fast, latency_ms=4.0)
    assert [trial.fitness for trial in strategy.told] == [None, (0.0,)]
    final = run.next_trial()
    assert final and final.source == fast.number


def test_a_search_in_which_no_trial_keeps_the_limits_fails_with_the_reason() -> None:
    space = letters(1)
    spec = spec_of(2, constraints=(Constraint(metric="latency_ms", max=5),))
    run = started(space, Listed(candidates(space, "a", "b")), spec)
    for latency in (6.0, 7.0):
        trial = run.next_trial()
        assert trial
        complete(run, trial, latency_ms=latency)
    assert run.finished
    assert run.failed_reason == (
        "no trial gave a usable result, most often 2 of 2: latency_ms 6 is above the "
        "constraint's max 5"
    )


@pytest.mark.parametrize("leak", [{"test_accuracy": 0.9}, {"test_loss": 0.1}])
def test_a_candidate_that_scored_the_test_split_is_refused(leak: dict[str, float]) -> None:
    space = letters(3)
    strategy = Listening(strategy_of("random", space))
    run = started(space, strategy)
    trial = run.next_trial()
    assert trial
    with pytest.raises(ValueError, match="trial 0, a candidate, must not report"):
        run.report(trial.number, 1, {"val_accuracy": 0.5, **leak})
    with pytest.raises(ValueError, match="trial 0, a candidate, must not report"):
        complete(run, trial, **leak)
    assert strategy.told == []


@pytest.mark.parametrize("name", strategies)
def test_a_strategy_never_sees_a_test_metric_nor_a_final_trial_nor_the_baseline(name: str) -> None:
    space = letters(3)
    strategy = Listening(strategy_of(name, space))
    run = started(space, strategy, spec_of(8, baseline="random"))
    while trial := run.next_trial():
        test = {"test_accuracy": 0.5} if trial.kind is FINAL else {}
        complete(run, trial, **test)
    assert run.finished and any("test_accuracy" in trial.metrics for trial in run.trials)
    assert not any(name.startswith("test_") for t in strategy.told for name in t.metrics)
    supernets = {SUPERNET} if name in SHARING else set()
    assert {trial.kind for trial in strategy.told} == {CANDIDATE} | supernets
    again = Listening(strategy_of(name, space))
    assert isinstance(run._journal, MemoryJournal)
    started(space, again, spec_of(8), run._journal)
    assert again.told == strategy.told


@pytest.mark.parametrize(
    ("metrics", "kind"),
    [
        ({"val_accuracy": math.nan}, FailureKind.NON_FINITE),
        ({"val_accuracy": math.inf}, FailureKind.NON_FINITE),
        ({"val_loss": 0.1}, FailureKind.ERROR),
        ({}, FailureKind.ERROR),
    ],
)
def test_a_result_without_a_finite_objective_is_a_failure(
    metrics: dict[str, float], kind: FailureKind
) -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space))
    trial = run.next_trial()
    assert trial
    run.complete(trial.number, metrics, seconds=1.0)
    ended = run.trials[0]
    assert ended.state is TrialState.FAILED and ended.failure and ended.failure.kind is kind
    assert "val_accuracy" in ended.failure.message


def test_other_values_that_are_not_finite_are_left_out() -> None:
    space = letters(3)
    journal = MemoryJournal()
    run = started(space, strategy_of("random", space), journal=journal)
    trial = run.next_trial()
    assert trial
    run.report(trial.number, 1, {"val_accuracy": 0.5, "val_perplexity": math.inf})
    complete(run, trial, val_perplexity=math.inf)
    assert journal.events[1] == EpochReported(0, 1, {"val_accuracy": 0.5})
    assert "val_perplexity" not in run.trials[0].metrics
