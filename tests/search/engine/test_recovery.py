import pytest

from search.engine.journal import MemoryJournal, StaleOwnerError, TrialEnded, TrialStarted
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.stage import Given
from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE
from search.objectives import Constraint
from search.strategy import strategies
from search.trial import Trial
from tests.search.support.runs import (
    SHARING,
    Crashing,
    complete,
    cost_by_letters,
    finish,
    of_earlier_search,
    started,
    strategy_of,
    survivor,
)
from tests.search.support.spaces import letters, spec_of


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
    assert not is_rich or BASELINE in {trial.kind for trial in run_on(undisturbed).trials}
    assert name not in ("random", "regularized_evolution") or "cached" in kinds
    for limit in range(1, len(undisturbed.events) - len(known)):
        crashed = Crashing(limit, is_written)
        with pytest.raises(StaleOwnerError):
            finish(run_on(crashed))
        journal = survivor(crashed)
        finish(run_on(journal))
        assert journal.events == undisturbed.events
        assert run_on(journal).finished


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
    assert fourth and fourth.kind is CANDIDATE
    assert fourth.number > 2 and resumed.next_trial() is None


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
    proof = replay(Given(spec, space, strategy_of(name, space)), journal.history())
    assert proof.is_same and proof.asks == len(run.trials) >= (12 if name in SHARING else 22)
    other_seed = Given(spec.model_copy(update={"seed": 1}), space, strategy_of(name, space))
    drawn = replay(other_seed, journal.history()).differences
    assert {run.trials[difference.number].kind for difference in drawn} == {BASELINE}
    other = strategies[name](space, strategies[name].Settings(), 1)
    changed = replay(Given(spec, space, other), journal.history())
    assert not changed.is_same and changed.differences[0].number == 0


def test_a_journal_that_contradicts_itself_proves_nothing() -> None:
    space = letters(3)
    trial = started(space, strategy_of("random", space)).next_trial()
    assert trial
    for history in ([TrialStarted(trial, 1)], [TrialStarted(trial, 0, (4,))], [TrialEnded(trial)]):
        with pytest.raises(ValueError, match="trial 0"):
            replay(Given(spec_of(), space, strategy_of("random", space)), history)
