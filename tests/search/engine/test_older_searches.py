"""Searches that an older version began are proved and continued as that version would have.

`tests/golden/search_of_format_1.json` is the journal of one, as commit b5ecb1a wrote it: optimizer,
momentum and how l1 acts are searched together, by tpe and then by random search to compare with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.engine.journal import Event, MemoryJournal, TrialEnded, TrialStarted
from search.engine.replay import Replay, replay
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stage import Given
from search.evaluation import Measurement
from search.request.read import stored_spec
from search.request.resolve import Resolved, reopen
from search.request.warm_start import Earlier, taken_over
from search.trial import Candidate, Trial, TrialState
from search.trial_kind import trial_kinds

RECORD = json.loads(
    (Path(__file__).parents[2] / "golden" / "search_of_format_1.json").read_text("utf-8")
)


def recorded() -> list[TrialStarted | TrialEnded]:
    events: list[TrialStarted | TrialEnded] = []
    trials: dict[int, Trial] = {}
    for document in RECORD["events"]:
        if "started" in document:
            trial = Trial(
                document["started"],
                trial_kinds[document["kind"]],
                Candidate.from_json(document["proposal"]),
                TrialState.RUNNING,
                document["architecture_key"],
                document["recipe_key"],
                seed=document["seed"],
                source=document["source"],
            )
            trials[trial.number] = trial
            asked = tuple(document["running"])
            events.append(TrialStarted(trial, document["told"], asked))
        else:
            fitness = document["fitness"]
            ended = replace(
                trials[document["ended"]],
                state=TrialState(document["state"]),
                metrics=document["metrics"],
                fitness=fitness and tuple(fitness),
            )
            events.append(TrialEnded(ended))
    return events


class Looked:
    """The results of the record, by number."""

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        ended = [event for event in RECORD["events"] if event.get("ended") == trial.number]
        yield Measurement({"epoch": 1.0, **ended[0]["metrics"]})


def older(**changes: Any) -> Resolved:
    return reopen(stored_spec(RECORD["spec"]).model_copy(update=changes))


def proof(resolved: Resolved) -> Replay:
    given = Given(resolved.spec, resolved.space, resolved.strategy())
    return replay(given, recorded())


def test_an_older_search_replays() -> None:
    assert older().spec.format == 1
    found = proof(older())
    assert (found.asks, found.is_same) == (33, True)


def test_by_the_streams_of_this_version_it_would_be_another() -> None:
    assert not proof(older(format=2)).is_same


@pytest.mark.parametrize("kept", [1, 9, 31, 50])
def test_an_older_search_goes_on_as_it_would_have(kept: int) -> None:
    """Whatever the new version finds in its journal."""
    resolved, journal = older(), MemoryJournal()
    events: list[Event] = list(recorded())
    journal.events = events[:kept]
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, cost=resolved.cost)
    run_serial(run, Looked())
    starts = [event.trial for event in journal.events if isinstance(event, TrialStarted)]
    expected = [event.trial for event in events if isinstance(event, TrialStarted)]
    finals = trial_kinds["final"]  # their recipes have keys of this version
    assert [replace(t, recipe_key="") if t.kind is finals else t for t in starts] == [
        replace(t, recipe_key="") if t.kind is finals else t for t in expected
    ]


def test_its_results_are_taken_over_in_canonical_form() -> None:
    """Momentum under adam is told as what it is: nothing."""
    results = [
        event.trial
        for event in recorded()
        if isinstance(event, TrialEnded) and event.trial.kind.is_told
    ]
    resolved = older(warm_start=("srch_older",), format=2)
    spec = stored_spec(RECORD["spec"])
    earlier = Earlier("srch_older", spec, resolved.dataset.fingerprint, results)
    taken = taken_over(resolved, lambda *_: earlier)
    assert len(taken) == len(results)
    idle = [trial.candidate.recipe for trial in results if trial.candidate.recipe.momentum == 0.5]
    assert any(recipe.optimizer == "adam" for recipe in idle)
    for before, trial in zip(results, taken, strict=True):
        recipe = trial.candidate.recipe
        assert recipe == before.candidate.recipe.canonical() == recipe.canonical()
        assert trial.recipe_key == before.candidate.recipe.key != before.recipe_key
        assert resolved.space.candidate(resolved.space.values(trial.candidate)) == trial.candidate
