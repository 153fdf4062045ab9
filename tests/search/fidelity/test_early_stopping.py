from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from search.engine.journal import EpochReported, Event, MemoryJournal, StaleOwnerError
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.stage import Given
from search.engine.stages.candidates import CANDIDATE
from search.strategy import strategies
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.runs import (
    Crashing,
    Listed,
    Listening,
    candidates,
    started,
    states,
    strategy_of,
    survivor,
)
from tests.search.support.spaces import letters, share_of_a, spec_of


def finish_by_epochs(run: SearchRun, worker: str | None = None, epochs: int = 8) -> None:
    """Train every trial epoch by epoch, one after another; those that were paused go on."""
    while (trial := run.next_trial()) is not None:
        train(run, trial, worker, epochs)


def train(run: SearchRun, trial: Trial, worker: str | None = None, epochs: int = 8) -> None:
    """To its end, or until it is pruned or paused."""
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


class CountB:
    """A screen that scores and refuses nobody."""

    def scores(self, candidate: Candidate) -> dict[str, float]:
        return {"synflow": float(list(candidate.architecture.decisions.values()).count("b"))}

    def refusal(self, scores: Mapping[str, float]) -> str | None:
        return None


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
        return started(space, strategy, spec, journal, screen=CountB())

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
    searched = [trial for trial in run_on(undisturbed).trials if trial.kind is CANDIDATE]
    assert all("synflow" in trial.metrics for trial in searched)
    for limit in range(1, len(undisturbed.events)):
        crashed = Crashing(limit, is_written)
        with pytest.raises(StaleOwnerError):
            finish_by_epochs(run_on(crashed))
        journal = survivor(crashed)
        finish_by_epochs(run_on(journal))
        assert distinct(journal) == undisturbed.events
    strategy = strategy_of("regularized_evolution", space, population_size=2)
    assert replay(Given(spec, space, strategy), undisturbed.history()).is_same


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


class Exhausted(Listed):
    """A strategy that proposes each candidate once, and then nothing."""

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate | None:
        return self._candidates[number] if number < len(self._candidates) else None


@pytest.mark.parametrize("fidelity", FIDELITIES[1:3], ids=["asha", "hyperband"])
@pytest.mark.parametrize("kind", [Listed, Exhausted])
def test_a_paused_trial_goes_on_where_only_its_repeats_are_left_to_ask_for(
    kind: type[Listed], fidelity: dict[str, Any]
) -> None:
    """Else nothing would ever run again: its repeats wait for it."""
    space = letters(2)
    run = started(space, kind(candidates(space, "ab", "ab")), spec_of(5, fidelity=fidelity))
    first = run.next_trial()
    assert first
    run.report(first.number, 1, {"val_accuracy": 0.5})
    assert not run.is_active(first.number)
    assert run.next_trial() == first and run.last_epoch_of(first) == 1
    train(run, first)
    finish_by_epochs(run)
    assert run.finished and run.failed_reason is None
    assert states(run)[:2] == ["completed", "cached"]


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


@pytest.mark.parametrize("fidelity", FIDELITIES[1:3], ids=["asha", "hyperband"])
@pytest.mark.parametrize("name", ["random", "regularized_evolution"])
def test_a_small_space_with_pauses_is_exhausted_and_the_search_ends_well(
    name: str, fidelity: dict[str, Any]
) -> None:
    """Repeats of paused trials exhaust it for a while; once those have ended, it goes on."""
    for seed in range(5):
        space = letters(2, "ab")
        strategy = strategies[name](space, strategies[name].Settings(), seed)
        run = started(space, strategy, spec_of(50, fidelity=fidelity))
        finish_by_epochs(run)
        assert run.finished and run.failed_reason is None
        assert run.trials_spent == 4
