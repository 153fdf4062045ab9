"""The JSON of a trial, which REST, Ray, rows and events share; `tests/golden` holds it."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.engine.stages.ensemble import ENSEMBLE
from search.engine.stages.finals import FINAL
from search.trial import (
    OUTCOME,
    Candidate,
    EnsembleProposal,
    Failure,
    FailureKind,
    Proposal,
    SupernetProposal,
    Trial,
    TrialState,
    proposal_from_json,
)
from search.trial_kind import TrialKind, trial_kinds
from tests.support.golden import golden, recorded

ARCHITECTURE = Architecture("cnn_cell", {"topology": "nasbench201", "channels": 8, "width": 0.5})
PROPOSED = Candidate(ARCHITECTURE, Recipe(epochs=3, learning_rate=0.05))
PROPOSALS: dict[TrialKind, Proposal] = {
    CANDIDATE: replace(PROPOSED, weights_from=2),
    SUPERNET: SupernetProposal("darts", {"order": 2, "seed": 0}),
    FINAL: PROPOSED,
    BASELINE: PROPOSED,
    ENSEMBLE: EnsembleProposal((4, 5, 6), 5),
}
RESULT: dict[str, Any] = {
    "metrics": {"val_accuracy": 0.1 + 0.2, "parameters": 1234.0},
    "seconds": 1.5,
    "worker": "node:1",
}
OUTCOMES: dict[TrialState, dict[str, Any]] = {
    TrialState.RUNNING: {},
    TrialState.PAUSED: {},
    TrialState.COMPLETED: {**RESULT, "fitness": (0.1 + 0.2, -1234.0), "violation": 0.25},
    TrialState.PRUNED: {**RESULT, "failure": Failure(FailureKind.FIDELITY, "the worst of three")},
    TrialState.FAILED: {"failure": Failure(FailureKind.NON_FINITE, "the loss is NaN")},
    TrialState.CACHED: {**RESULT, "source": 1, "source_search": "srch_1", "fitness": (0.3, -9.0)},
}


def trial(kind: TrialKind, state: TrialState) -> Trial:
    derives = kind in (SUPERNET, ENSEMBLE)
    asked: dict[str, Any] = {
        FINAL: {"source": 4, "seed": 1},
        CANDIDATE: {"origin": "proxy:synflow"},
    }.get(kind, {})
    derived = {"derived": ARCHITECTURE} if derives and state is TrialState.COMPLETED else {}
    values: dict[str, Any] = asked | OUTCOMES[state] | derived
    return Trial(7, kind, PROPOSALS[kind], state, "a" * 64, "b" * 64, **values)


def test_a_trial_of_each_kind_and_state_is_written_as_recorded() -> None:
    written = {
        f"{kind} {state}": trial(kind, state).to_json()
        for kind, state in product(trial_kinds.values(), TrialState)
    }
    assert golden("trials", json.loads(json.dumps(written, allow_nan=False))) == written


@pytest.mark.parametrize("kind", trial_kinds.values(), ids=str)
@pytest.mark.parametrize("state", TrialState)
def test_a_recorded_trial_reads_as_it_was(kind: TrialKind, state: TrialState) -> None:
    known = trial(kind, state)
    assert Trial.from_json(recorded("trials")[f"{kind} {state}"]) == known
    assert Trial.from_json(json.loads(json.dumps(known.to_json()))) == known


def test_what_an_earlier_version_did_not_write_has_its_default() -> None:
    known = trial(CANDIDATE, TrialState.RUNNING)
    document = known.to_json()
    later = ("violation", "source_search", "origin", "derived", "weights_from", "recipe_key")
    old = {key: value for key, value in document.items() if key not in later}
    read = Trial.from_json(old)
    assert read.candidate == PROPOSED
    assert (read.violation, read.source_search, read.origin, read.recipe_key) == (
        0.0,
        None,
        None,
        "",
    )
    assert Trial.from_json({**document, "attempts": 3, "curve": []}) == known


def test_what_is_no_number_stays_out() -> None:
    metrics = {"val_loss": math.nan, "train_loss": math.inf, "flops": 2.0}
    known = replace(trial(FINAL, TrialState.FAILED), metrics=metrics)
    assert known.to_json()["metrics"] == {"flops": 2.0}


def test_a_proposal_reads_from_its_own_json_and_from_its_trials() -> None:
    for kind, proposal in PROPOSALS.items():
        assert proposal_from_json(json.loads(json.dumps(proposal.to_json()))) == proposal
        assert proposal_from_json(trial(kind, TrialState.RUNNING).to_json()) == proposal


@pytest.mark.parametrize("kind", trial_kinds.values(), ids=str)
@pytest.mark.parametrize("state", TrialState)
def test_whatever_came_of_it_a_trial_began_in_the_same_way(
    kind: TrialKind, state: TrialState
) -> None:
    ended, began = trial(kind, state), trial(kind, TrialState.RUNNING)
    asked = {name: getattr(ended, name) for name in ("source", "source_search")}
    assert ended.as_started() == replace(began, **asked)


def test_every_field_is_asked_for_or_an_outcome() -> None:
    """A new field has to say which of the two it is, or a replay would know it too early."""
    asked = {"number", "kind", "proposal", "architecture_key", "recipe_key", "seed"}
    asked |= {"source", "source_search", "origin"}
    assert {field.name for field in fields(Trial)} == asked | set(OUTCOME)


def test_a_state_says_whether_it_is_the_last() -> None:
    going_on = {TrialState.RUNNING, TrialState.PAUSED}
    assert {state for state in TrialState if not state.has_ended} == going_on
