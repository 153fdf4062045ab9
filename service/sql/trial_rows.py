"""A trial as its row and as the data of its events: both are made of the keys of its JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from search.trial import OUTCOME, Trial, shown
from service.sql import tables

_PROPOSAL = "proposal"

_SAME = tuple(field.name for field in fields(Trial) if field.name != _PROPOSAL)
"""Keys that are columns of the same name; those of the proposal are one column."""

_STARTED = ("number", "kind", "state", "architecture_key", "source", "source_search")
_ENDED = (*_STARTED, "metrics", "failure", "seconds")


def document_of(row: tables.Trial) -> dict[str, Any]:
    """The JSON of the trial of a row."""
    return {key: getattr(row, key) for key in _SAME} | shown(row.proposal)


def trial_of(row: tables.Trial) -> Trial:
    return Trial.from_json(document_of(row))


def start_columns(search_id: str, tenant_id: str, trial: Trial, sequence: int) -> dict[str, Any]:
    """The row of a trial that begins."""
    return {
        "search_id": search_id,
        "tenant_id": tenant_id,
        **_of(trial.to_json(), _SAME),
        _PROPOSAL: trial.proposal.to_json(),
        "started_sequence": sequence,
        "started_at": datetime.now(UTC),
    }


def end_columns(trial: Trial, sequence: int) -> dict[str, Any]:
    """What changes in the row of a trial when it ends."""
    ended = {"ended_sequence": sequence, "ended_at": datetime.now(UTC)}
    return _of(trial.to_json(), OUTCOME) | ended


def row_of_end(search_id: str, tenant_id: str, trial: Trial, sequence: int) -> dict[str, Any]:
    """The row of a trial that ends as it starts."""
    asked = {"asked_after": 0, "asked_running": []}
    started = start_columns(search_id, tenant_id, trial, sequence)
    return {**started, **asked, **end_columns(trial, sequence)}


def start_data(trial: Trial) -> dict[str, Any]:
    """Of a `trial.started` event."""
    return _of(trial.to_json(), _STARTED)


def end_data(trial: Trial) -> dict[str, Any]:
    """Of a `trial.ended` event."""
    return _of(trial.to_json(), _ENDED)


def _of(document: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: document[key] for key in keys}
