"""The ensemble follows the finals, once, and is made of what they left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from search.engine.journal import MemoryJournal, TrialEnded
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.stage import Given
from search.engine.stages.ensemble import ENSEMBLE
from search.engine.stages.finals import FINAL
from search.spec import Final
from search.strategy import Strategy
from search.trial import EnsembleProposal, Failure, FailureKind, TrialState
from tests.search.support.runs import (
    ERROR,
    Listed,
    candidates,
    complete,
    finish,
    no_cost,
    started,
    survivor,
)
from tests.search.support.spaces import letters, spec_of

ASKED: dict[str, Any] = {"ensemble": {"size": 3}, "final": Final(top=2, seeds=2, epochs=3)}
SPACE = letters(2)


def listed() -> Strategy:
    return Listed(candidates(SPACE, "aa", "ab", "bb"))


def test_it_chooses_among_the_finals_of_the_best_and_of_no_baseline() -> None:
    journal = MemoryJournal()
    spec = spec_of(3, baselines=["mlp-100"], **ASKED)
    run = started(SPACE, listed(), spec, journal)
    phases = []
    while (trial := run.next_trial()) is not None:
        phases.append(run.phase)
        complete(run, trial)
    assert phases == ["searching"] * 3 + ["baseline"] + ["final"] * 6 + ["ensemble"]
    trials = run.trials
    finals = [trial for trial in trials if trial.kind is FINAL]
    assert [final.source for final in finals] == [0, 0, 1, 1, 3, 3]
    together = trials[-1]
    assert together.kind is ENSEMBLE and together.state is TrialState.COMPLETED
    assert together.proposal == EnsembleProposal(tuple(f.number for f in finals[:4]), 3)
    assert run.finished and run.exhausted_reason is None
    given = Given(spec, SPACE, listed())
    proof = replay(given, journal.history())
    assert (proof.is_same, proof.asks) == (True, len(trials))


def test_a_search_that_does_not_ask_for_it_has_none() -> None:
    run = started(SPACE, listed(), spec_of(3, final=ASKED["final"]))
    finish(run)
    assert [trial.kind for trial in run.trials if trial.kind is ENSEMBLE] == []
    assert run.exhausted_reason is None


def test_finals_that_have_failed_are_not_chosen_among() -> None:
    run = started(SPACE, listed(), spec_of(3, **ASKED))
    left = [ERROR, None, None, ERROR]
    while (trial := run.next_trial()) is not None:
        failure = left.pop(0) if trial.kind is FINAL else None
        if failure is None:
            complete(run, trial)
        else:
            run.fail(trial.number, failure, seconds=0.1)
    assert run.trials[-1].proposal == EnsembleProposal((4, 5), 3)


def test_one_final_alone_is_no_choice_which_is_said() -> None:
    run = started(SPACE, listed(), spec_of(3, **ASKED))
    left = [ERROR, None, ERROR, ERROR]
    while (trial := run.next_trial()) is not None:
        if trial.kind is FINAL and left.pop(0) is not None:
            run.fail(trial.number, ERROR, seconds=0.1)
        else:
            complete(run, trial)
    assert run.failed_reason is None
    assert run.exhausted_reason == (
        "there is no ensemble: it takes 2 final trainings with validation scores, got 1"
    )


def test_a_search_whose_ensemble_fails_has_its_best_network() -> None:
    run = started(SPACE, listed(), spec_of(3, **ASKED))
    while (trial := run.next_trial()) is not None:
        if trial.kind is ENSEMBLE:
            run.fail(trial.number, ERROR, seconds=0.1)
        else:
            complete(run, trial)
    assert run.finished and run.failed_reason is None
    assert run.trials[-1].failure == ERROR


def test_after_a_crash_at_any_event_it_is_the_same_ensemble() -> None:
    journal, spec = MemoryJournal(), spec_of(3, **ASKED)
    run = started(SPACE, listed(), spec, journal)
    while (trial := run.next_trial()) is not None:
        complete(run, trial)
    for cut in range(len(journal.events)):
        kept = survivor(journal)
        kept.events = kept.events[:cut]
        again = started(SPACE, listed(), spec, kept)
        while (trial := again.next_trial()) is not None:
            complete(again, trial)
        assert again.trials == run.trials


def test_a_bundle_that_is_refused_later_changes_no_proposal() -> None:
    """A final trial that turns into a failed one keeps its place in the journal."""
    journal, spec = MemoryJournal(), spec_of(3, **ASKED)
    run = SearchRun(spec, SPACE, listed(), journal, no_cost)
    while (trial := run.next_trial()) is not None:
        complete(run, trial)
    refused = Failure(FailureKind.BUNDLE, "another score")
    history = list(journal.history())
    for place, event in enumerate(history):
        if event.trial.number == 3 and event.trial.state is TrialState.COMPLETED:
            failed = replace(event.trial, state=TrialState.FAILED, failure=refused)
            history[place] = TrialEnded(failed)
    assert replay(Given(spec, SPACE, listed()), history).is_same
