"""A trial as its row and as the data of its events, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from models.architecture import Architecture
from search.trial import (
    Candidate,
    Failure,
    Proposal,
    SupernetProposal,
    Trial,
    TrialState,
    finite,
)
from search.trial_kind import trial_kinds
from service.sql import tables


def start_columns(search_id: str, tenant_id: str, trial: Trial, sequence: int) -> dict[str, Any]:
    """The row of a trial that begins."""
    return {
        "search_id": search_id,
        "number": trial.number,
        "tenant_id": tenant_id,
        "kind": trial.kind.name,
        "state": TrialState.RUNNING.value,
        "proposal": trial.proposal.to_json(),
        "architecture_key": trial.architecture_key,
        "recipe_key": trial.recipe_key,
        "seed": trial.seed,
        "source": trial.source,
        "origin": trial.origin,
        "source_search": trial.source_search,
        "metrics": {},
        "started_sequence": sequence,
        "started_at": datetime.now(UTC),
    }


def end_columns(trial: Trial, sequence: int) -> dict[str, Any]:
    """What changes in the row of a trial when it ends."""
    return {
        "state": trial.state.value,
        "metrics": finite(trial.metrics),
        "fitness": None if trial.fitness is None else list(trial.fitness),
        "violation": trial.violation,
        "failure": None if trial.failure is None else trial.failure.to_json(),
        "derived": None if trial.derived is None else trial.derived.to_json(),
        "seconds": trial.seconds,
        "worker": trial.worker,
        "ended_sequence": sequence,
        "ended_at": datetime.now(UTC),
    }


def trial_of(row: tables.Trial) -> Trial:
    """The value of a row."""
    return Trial(
        number=row.number,
        kind=trial_kinds[row.kind],
        proposal=_proposal(row.proposal),
        state=TrialState(row.state),
        architecture_key=row.architecture_key,
        recipe_key=row.recipe_key,
        seed=row.seed,
        metrics={name: float(value) for name, value in row.metrics.items()},
        fitness=None if row.fitness is None else tuple(float(value) for value in row.fitness),
        violation=row.violation,
        failure=None if row.failure is None else Failure.from_json(row.failure),
        source=row.source,
        source_search=row.source_search,
        origin=row.origin,
        seconds=row.seconds,
        worker=row.worker,
        derived=None if row.derived is None else Architecture.from_json(row.derived),
    )


def summary(trial: Trial) -> dict[str, Any]:
    """The data of a `trial.started` event."""
    return {
        "number": trial.number,
        "kind": trial.kind.name,
        "state": trial.state.value,
        "architecture_key": trial.architecture_key,
        "source": trial.source,
        "source_search": trial.source_search,
    }


def end_data(trial: Trial) -> dict[str, Any]:
    """The data of a `trial.ended` event."""
    return {
        **summary(trial),
        "metrics": finite(trial.metrics),
        "failure": None if trial.failure is None else trial.failure.to_json(),
        "seconds": trial.seconds,
    }


def _proposal(document: Mapping[str, Any]) -> Proposal:
    if "method" in document:
        return SupernetProposal(document["method"], document["settings"])
    return Candidate.from_json(document)
