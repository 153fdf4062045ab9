import tracemalloc
from collections.abc import Sequence

import pytest

from search.engine.journal import Event, MemoryJournal
from search.engine.stages.candidates import CANDIDATE, MAX_REPEATS
from search.engine.stages.finals import FINAL
from search.strategy import strategies
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.runs import (
    ERROR,
    SHARING,
    Listed,
    Listening,
    candidates,
    complete,
    finish,
    started,
    states,
    strategy_of,
)
from tests.search.support.spaces import letters, spec_of
from tests.support.instructions import instructions


def test_a_search_runs_candidates_then_finals() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(5, seed=7))
    assert (run.phase, run.finished) == ("searching", False)
    finish(run)
    trials = run.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    search = [trial for trial in trials if trial.kind is CANDIDATE]
    finals = [trial for trial in trials if trial.kind is FINAL]
    assert sum(trial.costs_budget for trial in search) == run.trials_spent == 5
    assert {trial.seed for trial in search} == {7}
    best = max(search, key=lambda trial: (trial.metrics["val_accuracy"], -trial.number))
    assert [(trial.source, trial.seed) for trial in finals] == [(best.number, 8), (best.number, 9)]
    for final in finals:
        assert final.candidate.architecture == best.candidate.architecture
        assert final.candidate.recipe == best.candidate.recipe.model_copy(update={"epochs": 5})
        assert final.architecture_key == best.architecture_key
        assert final.recipe_key == final.candidate.recipe.key != best.recipe_key
    assert (run.phase, run.finished, run.failed_reason) == ("done", True, None)


def test_a_repeat_is_answered_and_costs_nothing() -> None:
    space = letters(2, symmetric=True)
    strategy = Listening(Listed(candidates(space, "ab", "ba", "aa")))
    run = started(space, strategy, spec_of(2))
    finish(run)
    first, repeat, third, *finals = run.trials
    assert repeat.state is TrialState.CACHED and repeat.source == 0
    assert repeat.candidate != first.candidate
    assert (repeat.metrics, repeat.fitness) == (first.metrics, first.fitness) and repeat.fitness
    assert third.state is TrialState.COMPLETED and len(finals) == 2
    assert [trial.number for trial in strategy.told] == [0, 1, 2]


def test_a_repeat_with_another_recipe_is_no_repeat() -> None:
    space = letters(1, "a")
    one = candidates(space, "a")[0]
    other = Candidate(one.architecture, one.recipe.model_copy(update={"learning_rate": 0.01}))
    run = started(space, Listed([one, other]), spec_of(2))
    finish(run)
    assert states(run)[:2] == ["completed", "completed"]


def test_a_repeat_of_a_running_trial_waits_for_it_while_others_start() -> None:
    space = letters(2)
    strategy = Listening(Listed(candidates(space, "ab", "ab", "aa")))
    run = started(space, strategy, spec_of(2))
    first, third = run.next_trial(), run.next_trial()
    assert first and third
    assert (first.number, third.number) == (0, 2)
    assert [trial.number for trial in run.running] == [0, 1, 2]
    assert strategy.running == [(), (0,), (0, 1)]
    complete(run, third)
    assert [trial.number for trial in run.running] == [0, 1]
    complete(run, first)
    assert [trial.number for trial in strategy.told] == [2, 0, 1]
    assert run.trials[1].metrics == run.trials[0].metrics
    assert run.phase == "final"


def test_a_repeat_of_a_failure_is_answered_with_the_failure() -> None:
    space = letters(2)
    run = started(space, Listed(candidates(space, "ab", "ab", "aa")), spec_of(2))
    trial = run.next_trial()
    assert trial
    run.fail(trial.number, ERROR, seconds=1.0)
    finish(run)
    assert run.trials[1].state is TrialState.CACHED
    assert (run.trials[1].failure, run.trials[1].fitness) == (ERROR, None)


@pytest.mark.parametrize("name", [name for name in strategies if name not in SHARING])
@pytest.mark.parametrize("parallel", [1, 4])
def test_a_small_space_is_exhausted_and_the_search_ends_well(name: str, parallel: int) -> None:
    space = letters(2, "ab")
    run = started(space, strategy_of(name, space), spec_of(50))
    in_flight: list[Trial] = []
    while not run.finished:
        while len(in_flight) < parallel and (trial := run.next_trial()):
            in_flight.append(trial)
        if in_flight:
            complete(run, in_flight.pop(0))
    assert run.exhausted_reason == "the search space is exhausted after 4 distinct architectures"
    assert run.trials_spent == 4
    assert run.failed_reason is None
    assert len(run.trials) <= 4 + (4 + 1) * MAX_REPEATS + 2
    assert run.trials[-1].kind is FINAL


def test_the_reason_names_pairs_where_the_recipe_is_searched() -> None:
    space = letters(1, "ab")
    recipes = letters(1, "ab")
    assert not recipes.searches_recipe
    from tests.search.support.spaces import space_of

    joint = space_of(optimizer={"choice": ["sgd", "adam"]})
    run = started(joint, strategy_of("random", joint), spec_of(50))
    while trial := run.next_trial():
        run.complete(trial.number, {"val_accuracy": 0.5}, seconds=0.0)
    assert run.exhausted_reason == (
        "the search space is exhausted after 2 distinct pairs of architecture and recipe"
    )
    assert space.size == 2


def test_the_reason_of_a_failed_search_is_the_most_frequent_failure() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(3))
    for message in ("epoch 3: loss is nan", "epoch 5: loss is nan", "other"):
        trial = run.next_trial()
        assert trial
        run.fail(trial.number, Failure(FailureKind.NON_FINITE, message), seconds=0.1)
    assert run.finished and run.failed_reason == (
        "no trial gave a usable result, most often 2 of 3: non_finite: epoch 3: loss is nan"
    )


def test_the_first_end_of_a_trial_counts() -> None:
    space = letters(3)
    journal = MemoryJournal()
    run = started(space, strategy_of("random", space), journal=journal)
    trial = run.next_trial()
    assert trial
    complete(run, trial)
    events = list(journal.events)
    run.fail(trial.number, ERROR, seconds=1.0)
    run.prune(trial.number, ERROR)
    run.report(trial.number, 2, {"val_accuracy": 0.1})
    complete(run, trial, val_loss=1.0)
    assert journal.events == events
    with pytest.raises(ValueError, match="no trial 1, the last is 0"):
        run.complete(1, {}, seconds=0.0)


def test_the_end_of_the_time_prunes_what_runs_and_goes_on_to_the_finals() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(50))
    first = run.next_trial()
    assert first
    complete(run, first)
    running = [run.next_trial(), run.next_trial()]
    assert run.stop_searching("the time budget of 60 s has ended") == tuple(
        trial.number for trial in running if trial
    )
    assert all(
        trial.state is TrialState.PRUNED
        and trial.failure == Failure(FailureKind.BUDGET, "the time budget of 60 s has ended")
        for trial in run.trials[-2:]
    )
    assert run.phase == "final" and run.exhausted_reason is None
    final = run.next_trial()
    assert final and final.source == first.number
    assert run.stop_searching("again") == () and final in run.running
    finish(run)
    complete(run, final)
    assert run.finished and run.failed_reason is None


def test_the_end_of_the_time_before_any_result_is_a_failure() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space))
    assert run.next_trial()
    run.stop_searching("the time budget of 1 s has ended")
    assert run.finished and run.failed_reason == (
        "no trial gave a usable result, most often 1 of 1: budget: the time budget of 1 s has ended"
    )


@pytest.mark.parametrize("finals", [False, True])
def test_cancelling_prunes_what_runs_and_ends_the_search(finals: bool) -> None:
    space = letters(3)
    run = started(space, Listed(candidates(space, "aaa", "aaa", "bbb")), spec_of(1 + (not finals)))
    trial = run.next_trial()
    assert trial
    if finals:
        complete(run, trial)
        trial = run.next_trial()
    else:
        assert run.next_trial()  # after a repeat, which waits
    assert trial and trial.number in run.cancel()
    assert run.finished and run.failed_reason is None and run.running == ()
    assert run.next_trial() is None and run.cancel() == ()
    ended = run.trials[trial.number]
    assert ended.state is TrialState.PRUNED
    assert ended.failure and ended.failure.kind is FailureKind.CANCELLED


def test_the_budget_can_grow_and_shrink_while_the_search_stage_lasts() -> None:
    space = letters(4)
    run = started(space, strategy_of("random", space), spec_of(2))
    running = [run.next_trial(), run.next_trial()]
    assert run.next_trial() is None
    run.set_budget(trials=3)
    running.append(run.next_trial())
    assert running[-1] is not None
    run.set_budget(trials=1, seconds=5.0)
    assert run.next_trial() is None and run.phase == "searching"
    for trial in running:
        assert trial
        complete(run, trial)
    assert run.phase == "final" and run.budget_seconds == 5.0 and run.trials_spent == 3
    final = run.next_trial()
    run.set_budget(trials=100)
    assert final and run.phase == "final"
    following = run.next_trial()
    assert following and following.kind is FINAL


def test_a_strategy_that_raises_ends_the_search_with_its_error() -> None:
    class Raising(Listed):
        def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
            raise ZeroDivisionError("at the first ask")

    space = letters(3)
    with pytest.raises(ZeroDivisionError, match="at the first ask"):
        started(space, Raising([])).next_trial()


class Forgetful(MemoryJournal):
    """A journal that keeps nothing, so that only the run's own memory is measured."""

    def append(self, event: Event) -> None: ...


@pytest.mark.slow
def test_work_and_memory_per_trial_do_not_grow_with_the_search() -> None:
    space = letters(12, "abcdef")
    run = started(space, strategy_of("random", space), spec_of(100_000), Forgetful())

    def spend(trials: int) -> None:
        target = run.trials_spent + trials
        while run.trials_spent < target:
            trial = run.next_trial()
            assert trial
            complete(run, trial, parameters=1.0, flops=2.0, train_seconds=3.0, val_loss=0.1)

    spend(1000)
    early = instructions(lambda: spend(100))
    tracemalloc.start()
    spend(500)
    before = tracemalloc.get_traced_memory()[0]
    spend(1500)
    bytes_per_trial = (tracemalloc.get_traced_memory()[0] - before) / 1500
    tracemalloc.stop()
    spend(5000)
    late = instructions(lambda: spend(100))
    assert bytes_per_trial < 1000
    assert late < 1.5 * early  # a rescan of all trials costs eight times
