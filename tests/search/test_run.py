import math
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from instructions import instructions
from spaces import letters, share_of_a, spec_of

from models.families import InfeasibleError
from search.engine.baseline import Baseline
from search.engine.journal import (
    EpochReported,
    Event,
    MemoryJournal,
    StaleOwnerError,
    TrialEnded,
    TrialStarted,
)
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.state import MAX_REFUSALS, MAX_REPEATS
from search.evaluators import Derivation
from search.objectives import Constraint, Objective
from search.space import SearchSpace
from search.spec import Final, SearchSpec
from search.strategies import Strategy, strategies
from search.trial import Candidate, Failure, FailureKind, Proposal, Trial, TrialKind, TrialState
from search.weight_sharing.strategy import candidate_strategies

ERROR = Failure(FailureKind.ERROR, "RuntimeError: no luck")


class Listening:
    """A strategy that keeps what it is told, around another one."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.told: list[Trial] = []
        self.running: list[tuple[int, ...]] = []

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        self.running.append(tuple(trial.number for trial in running))
        return self._strategy.ask(number, running)

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)
        self._strategy.tell(trial)


class Listed:
    """A strategy that proposes what it was given, in order, and then the last again and again."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        return self._candidates[min(number, len(self._candidates) - 1)]

    def tell(self, trial: Trial) -> None: ...


def strategy_of(name: str, space: SearchSpace, **settings: Any) -> Strategy:
    entry = strategies[name]
    return entry(space, entry.Settings(**settings), 0)


def candidates(space: SearchSpace, *words: str) -> list[Candidate]:
    base = space.values(strategy_of("random", space).ask(0, ()))  # type: ignore[arg-type]
    return [
        space.candidate({**base, **{f"d{i}": letter for i, letter in enumerate(word)}})
        for word in words
    ]


def of_earlier_search(space: SearchSpace, word: str, number: int = 0) -> Trial:
    """The result of a network of these letters, as a search that takes it over has it."""
    candidate = candidates(space, word)[0]
    metrics = {"val_accuracy": word.count("a") / len(word), "parameters": 100.0 * word.count("a")}
    return Trial(
        number,
        TrialKind.CANDIDATE,
        candidate,
        TrialState.CACHED,
        *space.keys(candidate),
        metrics=metrics,
        fitness=(metrics["val_accuracy"],),
        source=7,
        source_search="srch_earlier",
    )


def no_cost(candidate: Candidate) -> dict[str, float]:
    raise AssertionError("nobody limits the cost, so nobody counts it")


def started(
    space: SearchSpace,
    strategy: Strategy,
    spec: SearchSpec | None = None,
    journal: MemoryJournal | None = None,
    cost: Callable[[Candidate], dict[str, float]] = no_cost,
) -> SearchRun:
    return SearchRun(spec or spec_of(), space, strategy, journal or MemoryJournal(), cost)


SHARING = sorted(set(strategies) - set(candidate_strategies()))
"""Strategies that stop asking once all has been tried that their supernets derived."""


def complete(run: SearchRun, trial: Trial, **metrics: float) -> None:
    if trial.is_supernet:
        derived = run._space.sample(Random(trial.number)).architecture
        run.complete(trial.number, Derivation({"weight_loss": 1.0}, derived), seconds=1.0)
        return
    score = share_of_a(trial)
    run.complete(trial.number, {"val_accuracy": score, **metrics}, seconds=1.0, worker="w")


def finish(run: SearchRun) -> None:
    while (trial := run.next_trial()) is not None:
        complete(run, trial)


def states(run: SearchRun) -> list[str]:
    return [trial.state.value for trial in run.trials]


def test_a_search_runs_candidates_then_finals() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(5, seed=7))
    assert (run.phase, run.finished) == ("searching", False)
    finish(run)
    trials = run.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    search = [trial for trial in trials if trial.kind is TrialKind.CANDIDATE]
    finals = [trial for trial in trials if trial.kind is TrialKind.FINAL]
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


def test_finals_start_after_the_last_candidate_has_ended() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(2))
    first, second = run.next_trial(), run.next_trial()
    assert first and second
    assert run.next_trial() is None and run.phase == "searching"
    complete(run, second)
    assert run.next_trial() is None
    complete(run, first)
    assert run.phase == "final"
    finals = [run.next_trial(), run.next_trial()]
    assert [trial.kind for trial in finals if trial] == [TrialKind.FINAL] * 2
    assert run.next_trial() is None and not run.finished
    for final in finals:
        assert final
        complete(run, final, test_accuracy=0.5)
    assert run.finished


def test_the_finals_are_the_best_distinct_architectures_seed_by_seed() -> None:
    space = letters(2, symmetric=True)
    words = ("ab", "aa", "ba", "bb", "bc")
    spec = spec_of(4, final=Final(top=2, seeds=2, epochs=3))
    run = started(space, Listed(candidates(space, *words)), spec)
    finish(run)
    finals = [trial for trial in run.trials if trial.kind is TrialKind.FINAL]
    assert [(trial.source, trial.seed) for trial in finals] == [(1, 1), (1, 2), (0, 1), (0, 2)]


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
    assert run.trials[-1].kind is TrialKind.FINAL


def test_the_reason_names_pairs_where_the_recipe_is_searched() -> None:
    space = letters(1, "ab")
    recipes = letters(1, "ab")
    assert not recipes.searches_recipe
    from spaces import space_of

    joint = space_of(optimizer={"choice": ["sgd", "adam"]})
    run = started(joint, strategy_of("random", joint), spec_of(50))
    while trial := run.next_trial():
        run.complete(trial.number, {"val_accuracy": 0.5}, seconds=0.0)
    assert run.exhausted_reason == (
        "the search space is exhausted after 2 distinct pairs of architecture and recipe"
    )
    assert space.size == 2


def cost_by_letters(candidate: Candidate) -> dict[str, float]:
    values = list(candidate.architecture.decisions.values())
    if "c" in values:
        raise InfeasibleError("d0", "c cannot be built, allowed are a and b")
    return {"parameters": 100.0 * values.count("a")}


def test_what_breaks_a_cost_limit_or_cannot_be_built_is_refused_without_training() -> None:
    space = letters(2)
    spec = spec_of(1, constraints=(Constraint(metric="parameters", max=150),))
    strategy = Listening(Listed(candidates(space, "aa", "ca", "ab")))
    run = started(space, strategy, spec, cost=cost_by_letters)
    finish(run)
    big, unbuilt, good, *finals = run.trials
    assert big.failure == Failure(
        FailureKind.INFEASIBLE, "parameters 200 is above the constraint's max 150"
    )
    assert big.metrics == {"parameters": 200.0}
    assert unbuilt.failure == Failure(
        FailureKind.INFEASIBLE, "c cannot be built, allowed are a and b"
    )
    assert good.state is TrialState.COMPLETED and len(finals) == 2
    assert run.trials_spent == 1
    assert [trial.state.value for trial in strategy.told] == ["failed", "failed", "completed"]


def test_a_cost_that_cannot_be_counted_is_that_trials_failure() -> None:
    def broken(candidate: Candidate) -> dict[str, float]:
        raise RuntimeError("no such kernel")

    space = letters(3)
    spec = spec_of(3, constraints=(Constraint(metric="flops", max=1),))
    run = started(space, strategy_of("random", space), spec, cost=broken)
    assert run.next_trial() is None
    assert run.trials_spent == 3 and run.finished
    assert run.failed_reason == (
        "no trial gave a usable result, most often 3 of 3: error: RuntimeError: no such kernel"
    )


def test_a_limit_that_refuses_everything_ends_the_search_with_the_reason() -> None:
    space = letters(12)
    spec = spec_of(3, constraints=(Constraint(metric="parameters", max=-1),))
    cost = {"parameters": 5.0}
    run = started(space, strategy_of("random", space), spec, cost=lambda candidate: cost)
    assert run.next_trial() is None and run.finished
    assert run.exhausted_reason and f"{MAX_REFUSALS} in a row were refused" in run.exhausted_reason
    assert run.failed_reason == (
        f"no trial gave a usable result, most often {MAX_REFUSALS} of {MAX_REFUSALS}: "
        "infeasible: parameters 5 is above the constraint's max -1"
    )


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


def test_a_search_whose_finals_all_fail_has_failed() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(1))
    trial = run.next_trial()
    assert trial
    complete(run, trial)
    while final := run.next_trial():
        run.fail(final.number, ERROR, seconds=0.1)
    assert run.finished and run.failed_reason == (
        "no final training completed, most often 2 of 2: error: RuntimeError: no luck"
    )


@pytest.mark.parametrize("leak", [{"test_accuracy": 0.9}, {"test_loss": 0.1}])
def test_a_candidate_that_scored_the_test_split_is_refused(leak: dict[str, float]) -> None:
    space = letters(3)
    strategy = Listening(strategy_of("random", space))
    run = started(space, strategy)
    trial = run.next_trial()
    assert trial
    with pytest.raises(ValueError, match="trial 0 is no final one and must not report"):
        run.report(trial.number, 1, {"val_accuracy": 0.5, **leak})
    with pytest.raises(ValueError, match="trial 0 is no final one and must not report"):
        complete(run, trial, **leak)
    assert strategy.told == []


@pytest.mark.parametrize("name", strategies)
def test_a_strategy_never_sees_a_test_metric_nor_a_final_trial_nor_the_baseline(name: str) -> None:
    space = letters(3)
    strategy = Listening(strategy_of(name, space))
    run = started(space, strategy, spec_of(8, baseline="random"))
    while trial := run.next_trial():
        test = {"test_accuracy": 0.5} if trial.kind is TrialKind.FINAL else {}
        complete(run, trial, **test)
    assert run.finished and any("test_accuracy" in trial.metrics for trial in run.trials)
    assert not any(name.startswith("test_") for t in strategy.told for name in t.metrics)
    supernets = {TrialKind.SUPERNET} if name in SHARING else set()
    assert {trial.kind for trial in strategy.told} == {TrialKind.CANDIDATE} | supernets
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
    assert following and following.kind is TrialKind.FINAL


def test_a_strategy_that_raises_ends_the_search_with_its_error() -> None:
    class Raising(Listed):
        def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
            raise ZeroDivisionError("at the first ask")

    space = letters(3)
    with pytest.raises(ZeroDivisionError, match="at the first ask"):
        started(space, Raising([])).next_trial()


class Crashing(MemoryJournal):
    """A journal whose owner dies at its `limit`-th event, before or after it is written."""

    def __init__(self, limit: int, is_written: bool) -> None:
        super().__init__()
        self._limit, self._is_written = limit, is_written

    def append(self, event: Event) -> None:
        self._limit -= 1
        if self._limit > 0 or self._is_written:
            super().append(event)
        if self._limit == 0:
            raise StaleOwnerError


def survivor(journal: MemoryJournal) -> MemoryJournal:
    after = MemoryJournal()
    after.events = list(journal.events)
    return after


@pytest.mark.parametrize(
    ("name", "is_rich"), [*((name, False) for name in strategies), ("local_search", True)]
)
@pytest.mark.parametrize("is_written", [False, True])
def test_a_search_killed_at_any_event_goes_on_as_if_nothing_had_happened(
    name: str, is_rich: bool, is_written: bool
) -> None:
    """A rich one has a baseline and begins with a result of an earlier search."""
    space = letters(2)
    spec = spec_of(
        3,
        constraints=(Constraint(metric="parameters", max=150),),
        baseline="random" if is_rich else None,
    )
    settings = {"regularized_evolution": {"population_size": 2}}.get(name, {})
    if name in SHARING:
        settings = {"seeds": 2}
    known = [TrialEnded(of_earlier_search(space, "ba"))] if is_rich else []

    def run_on(journal: MemoryJournal) -> SearchRun:
        journal.events[:0] = known if not journal.events else []
        strategy = strategy_of(name, space, **settings)
        return started(space, strategy, spec, journal, cost_by_letters)

    undisturbed = MemoryJournal()
    finish(run_on(undisturbed))
    kinds = [trial.state.value for trial in run_on(undisturbed).trials]
    assert {"failed", "completed"} <= set(kinds) or name in SHARING
    assert not is_rich or "baseline" in {trial.kind for trial in run_on(undisturbed).trials}
    assert name not in ("random", "regularized_evolution") or "cached" in kinds
    for limit in range(1, len(undisturbed.events) - len(known)):
        crashed = Crashing(limit, is_written)
        with pytest.raises(StaleOwnerError):
            finish(run_on(crashed))
        journal = survivor(crashed)
        finish(run_on(journal))
        assert journal.events == undisturbed.events
        assert run_on(journal).finished


def finish_by_epochs(run: SearchRun, worker: str | None = None, epochs: int = 8) -> None:
    """Train every trial epoch by epoch, one after another; those that were paused go on."""
    while (trial := run.next_trial()) is not None:
        epoch = run.last_epoch_of(trial)
        while run.is_active(trial.number) and epoch < epochs:
            epoch += 1
            score = share_of_a(trial) + epoch / 100
            run.report(trial.number, epoch, {"val_accuracy": score}, worker=worker)
        if run.is_active(trial.number):
            run.complete(trial.number, {"val_accuracy": score}, seconds=0.0)


FIDELITIES = [
    {"name": "asha"},
    {"name": "asha", "variant": "promotion", "reduction_factor": 2},
    {"name": "hyperband", "reduction_factor": 2},
    {"name": "median", "min_trials": 1},
]


@pytest.mark.parametrize(
    "fidelity", FIDELITIES, ids=lambda settings: "-".join(map(str, settings.values()))
)
@pytest.mark.parametrize("is_written", [False, True])
def test_a_search_with_early_stopping_goes_on_after_a_crash_at_any_event(
    fidelity: dict[str, Any], is_written: bool
) -> None:
    space = letters(3)
    spec = spec_of(8, fidelity=fidelity)

    def run_on(journal: MemoryJournal) -> SearchRun:
        strategy = strategy_of("regularized_evolution", space, population_size=2)
        return started(space, strategy, spec, journal)

    def distinct(journal: MemoryJournal) -> list[Event]:
        """Without what a trial that runs again reports again."""
        events: list[Event] = []
        for event in journal.events:
            if not isinstance(event, EpochReported) or event not in events:
                events.append(event)
        return events

    undisturbed = MemoryJournal()
    finish_by_epochs(run_on(undisturbed))
    assert run_on(undisturbed).finished and run_on(undisturbed).failed_reason is None
    assert {"pruned", "completed"} <= set(states(run_on(undisturbed)))
    for limit in range(1, len(undisturbed.events)):
        crashed = Crashing(limit, is_written)
        with pytest.raises(StaleOwnerError):
            finish_by_epochs(run_on(crashed))
        journal = survivor(crashed)
        finish_by_epochs(run_on(journal))
        assert distinct(journal) == undisturbed.events
    strategy = strategy_of("regularized_evolution", space, population_size=2)
    assert replay(strategy, undisturbed.history()).is_same


def test_a_pruned_trial_has_the_metrics_of_its_last_epoch_no_fitness_and_costs_budget() -> None:
    space = letters(3)
    strategy = Listening(Listed(candidates(space, "aab", "abb", "abb", "aaa")))
    journal = MemoryJournal()
    run = started(space, strategy, spec_of(3, fidelity={"name": "asha"}), journal)
    finish_by_epochs(run, worker="w")
    first, pruned, repeat, third, *finals = run.trials
    assert (first.state, third.state) == (TrialState.COMPLETED, TrialState.COMPLETED)
    assert pruned.state is TrialState.PRUNED and pruned.worker == "w"
    assert pruned.metrics == {"val_accuracy": pytest.approx(1 / 3 + 0.01)}
    assert pruned.fitness is None and pruned.failure == Failure(
        FailureKind.FIDELITY,
        "pruned by asha at epoch 1: val_accuracy 0.3433 is not among the best 1 of 2, which begin "
        "at val_accuracy 0.6767",
    )
    assert repeat.state is TrialState.CACHED and repeat.failure == pruned.failure
    assert [event.epoch for event in journal.events if isinstance(event, EpochReported)] == [
        *range(1, 9),
        1,
        *range(1, 9),
        *(epoch for _ in finals for epoch in range(1, 9)),  # final trials are never pruned
    ]
    assert strategy.told == [first, pruned, repeat, third] and run.trials_spent == 3
    assert run.best[0].number == third.number


def test_a_paused_trial_leaves_its_place_to_others_and_goes_on_where_it_was() -> None:
    space = letters(3)
    run = started(
        space,
        Listed(candidates(space, "aab", "aaa")),
        spec_of(2, fidelity={"name": "hyperband", "reduction_factor": 8, "brackets": 1}),
    )
    first = run.next_trial()
    assert first and run.last_epoch_of(first) == 0
    run.report(first.number, 1, {"val_accuracy": 0.6}, seconds=2.0)
    assert not run.is_active(0) and first in run.running
    run.report(first.number, 2, {"val_accuracy": 0.9})  # of a worker that has not heard of it
    second = run.next_trial()
    assert second and second.number == 1
    assert run.next_trial() is None and run.phase == "searching"
    run.report(second.number, 1, {"val_accuracy": 0.5}, seconds=1.5)
    assert run.next_trial() == first and run.last_epoch_of(first) == 1
    assert run.trials[1].state is TrialState.PRUNED and run.trials[1].seconds == 1.5
    run.complete(first.number, {"val_accuracy": 0.7}, seconds=4.0)
    assert run.trials[0].seconds == 6.0 and run.phase == "final"


@pytest.mark.parametrize("fidelity", FIDELITIES[1:3], ids=["asha", "hyperband"])
def test_paused_trials_end_with_their_search(fidelity: dict[str, Any]) -> None:
    for action in ("cancel", "stop_searching"):
        space = letters(3)
        run = started(space, strategy_of("random", space), spec_of(8, fidelity=fidelity))
        trial = run.next_trial()
        assert trial
        run.report(trial.number, 1, {"val_accuracy": 0.5})
        assert not run.is_active(trial.number)
        getattr(run, action)("enough")
        assert run.finished and run.trials[0].state is TrialState.PRUNED


def test_trials_in_flight_at_a_crash_run_again_under_their_numbers() -> None:
    space = letters(3)
    strategy = strategy_of("random", space)
    journal = MemoryJournal()
    run = started(space, strategy, spec_of(4), journal)
    in_flight = [run.next_trial() for _ in range(3)]
    assert in_flight[1]
    complete(run, in_flight[1])
    resumed = started(space, strategy_of("random", space), spec_of(4), survivor(journal))
    assert resumed.running == run.running and resumed.trials_spent == 1
    assert [resumed.next_trial(), resumed.next_trial()] == [in_flight[0], in_flight[2]]
    fourth = resumed.next_trial()
    assert fourth and fourth.kind is TrialKind.CANDIDATE
    assert fourth.number > 2 and resumed.next_trial() is None


def test_several_objectives_give_finals_from_the_pareto_set() -> None:
    space = letters(2)
    objectives = (
        Objective(metric="val_accuracy"),
        Objective(metric="parameters", goal="minimize"),
    )
    spec = spec_of(3, objectives=objectives, final=Final(top=5, seeds=1, epochs=2))
    run = started(space, Listed(candidates(space, "aa", "ab", "bb")), spec)
    for parameters in (300.0, 400.0, 100.0):
        trial = run.next_trial()
        assert trial
        complete(run, trial, parameters=parameters)
    assert [trial.number for trial in run.best] == [0, 2]  # 1 is worse and larger than 0
    assert [t.source for t in (run.next_trial(), run.next_trial()) if t] == [0, 2]


@pytest.mark.parametrize("name", strategies)
def test_a_journal_proves_that_the_same_proposals_come_again(name: str) -> None:
    space = letters(3)
    journal = MemoryJournal()
    spec = spec_of(10, baseline="random", baselines=["mlp-100"])
    run = started(space, strategy_of(name, space), spec, journal)
    in_flight: list[Trial] = []
    while not run.finished:
        while len(in_flight) < 3 and (trial := run.next_trial()):
            in_flight.append(trial)
        if in_flight:
            complete(run, in_flight.pop(len(journal.events) % len(in_flight)))
    asks = sum(trial.kind is not TrialKind.FINAL for trial in run.trials)
    proof = replay(strategy_of(name, space), journal.history(), Baseline(space, spec))
    assert proof.is_same and proof.asks == asks >= (10 if name in SHARING else 20)
    other_seed = Baseline(space, spec.model_copy(update={"seed": 1}))
    drawn = replay(strategy_of(name, space), journal.history(), other_seed).differences
    assert {run.trials[difference.number].kind for difference in drawn} == {TrialKind.BASELINE}
    other = strategies[name](space, strategies[name].Settings(), 1)
    changed = replay(other, journal.history())
    assert not changed.is_same and changed.differences[0].number == 0


def test_a_journal_that_contradicts_itself_proves_nothing() -> None:
    space = letters(3)
    trial = started(space, strategy_of("random", space)).next_trial()
    assert trial
    for history in ([TrialStarted(trial, 1)], [TrialStarted(trial, 0, (4,))], [TrialEnded(trial)]):
        with pytest.raises(ValueError, match="trial 0"):
            replay(strategy_of("random", space), history)


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
