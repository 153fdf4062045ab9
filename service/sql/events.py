"""The events of a search: written with the change that they tell, read in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from service.sql.states import SearchState
from service.sql.tables import Event, Search

EventType = Literal[
    "search.queued",
    "search.running",
    "search.waiting",
    "search.interrupted",
    "search.paused",
    "search.succeeded",
    "search.failed",
    "search.cancelled",
    "search.updated",
    "memory.read",
    "trial.started",
    "trial.epoch",
    "trial.paused",
    "trial.resumed",
    "trial.ended",
    "best.changed",
    "bundle.published",
]

STATE_EVENTS: Mapping[SearchState, EventType] = {
    SearchState.QUEUED: "search.queued",
    SearchState.RUNNING: "search.running",
    SearchState.PAUSED: "search.paused",
    SearchState.SUCCEEDED: "search.succeeded",
    SearchState.FAILED: "search.failed",
    SearchState.CANCELLED: "search.cancelled",
}


def event(
    search_id: str, tenant_id: str, sequence: int, type: EventType, data: Mapping[str, Any]
) -> Event:
    """The event of a number that has been drawn for it."""
    return Event(
        search_id=search_id,
        sequence=sequence,
        tenant_id=tenant_id,
        type=type,
        data=dict(data),
        created_at=datetime.now(UTC),
    )


def append_event(
    session: Session, search: Search, type: EventType, data: Mapping[str, Any]
) -> Event:
    """Number the event, write it, and count the search's `revision` up. The data of `best.changed`
    is what the search shows as its best: `{"trial": number, "metrics": {...}}`.

    The counting locks the search's row until the transaction ends, so that numbers are committed
    in order and without holes; changes to `search` that are still in memory are flushed first.
    """
    sequence, revision = session.execute(
        update(Search)
        .where(Search.id == search.id)
        .values(event_sequence=Search.event_sequence + 1, revision=Search.revision + 1)
        .returning(Search.event_sequence, Search.revision)
        .execution_options(synchronize_session=False)
    ).one()
    set_committed_value(search, "event_sequence", sequence)
    set_committed_value(search, "revision", revision)
    appended = event(search.id, search.tenant_id, sequence, type, data)
    session.add(appended)
    if type == "best.changed":
        search.best = appended.data
    return appended


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is sent: `payload` is JSON text, written once for all who follow."""

    search_id: str
    sequence: int
    type: str
    payload: str


def events_after(session: Session, search_id: str, sequence: int, limit: int) -> list[StoredEvent]:
    """The next `limit` events of a search whose tenant has been checked, in order."""
    rows = session.execute(
        select(Event.sequence, Event.type, Event.data, Event.created_at)
        .where(Event.search_id == search_id, Event.sequence > sequence)
        .order_by(Event.sequence)
        .limit(limit)
    )
    return [
        StoredEvent(
            search_id,
            row.sequence,
            row.type,
            json.dumps({**row.data, "created_at": row.created_at.isoformat()}, allow_nan=False),
        )
        for row in rows
    ]
