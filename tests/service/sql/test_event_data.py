"""The data of every type of event, as clients have them; `tests/golden/events.json` holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest
from sqlalchemy import select

from models.architecture import Architecture
from models.storage import StoredFile
from search.engine.journal import (
    EpochReported,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.memory import Remembered
from search.trial import Failure, FailureKind, TrialState
from service.api.searches.actions import cancel, pause, resume
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.events import EventType
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.ledger import Ledger
from service.sql.memory import write_down
from service.sql.queue import Queue
from service.sql.searches import SearchRepository
from service.sql.states import SearchState
from service.sql.tables import Event
from tests.service.support.rows import add_search, running_trial
from tests.support.golden import golden


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


def claimed(queue: Queue) -> Claim:
    claim = queue.claim("me")
    assert claim is not None
    return claim


def test_the_data_of_events_are_those_recorded(sessions: Sessions) -> None:
    queue, first = Queue(sessions), add_search(sessions)
    with sessions.begin() as session:
        earlier = Remembered("srch_earlier", "wine", "1" * 64, 12, ())
        write_down(session, SearchRepository(session, DEFAULT_TENANT).get(first), [earlier])
    queue.interrupt(claimed(queue), "its driver was killed", blamed=True, limit=3)
    claim = claimed(queue)
    queue.explain(claim, "waiting for a node")
    queue.explain(claim, None)
    journal, trial = SqlJournal(sessions, claim, lambda: 1.0), running_trial(0)
    derived = Architecture("cnn_cell", {"channels": 4})
    result = {"state": TrialState.COMPLETED, "metrics": {"val_accuracy": 0.5}, "fitness": (0.5,)}
    for event in (
        TrialStarted(trial, told=0),
        EpochReported(0, 1, {"val_accuracy": 0.25, "val_loss": float("nan")}),
        EpochReported(0, 2, {"weight_loss": 1.5}, derived),
        TrialPaused(0, 2, 2.5),
        TrialResumed(0),
        TrialEnded(replace(trial, **result, seconds=3.5, worker="node:1")),
        TrialStarted(running_trial(1), told=1),
    ):
        journal.append(event)
    ledger = Ledger(sessions, claim)
    ledger.publish(
        0, 0, "artifacts/0.zip", StoredFile("memory://0.zip", sha256="0" * 64, size_bytes=12)
    )
    ledger.refuse(0, Failure(FailureKind.BUNDLE, "another score"))
    with sessions.begin() as session:
        search = SearchRepository(session, DEFAULT_TENANT).get(first)
        pause(session, search)
    assert queue.settle(claim) is SearchState.PAUSED
    with sessions.begin() as session:
        resume(session, SearchRepository(session, DEFAULT_TENANT).get(first))
    queue.finish(claimed(queue), SearchState.SUCCEEDED, "there was nothing more to try")
    second, third = add_search(sessions), add_search(sessions)
    queue.finish(claimed(queue), SearchState.FAILED, "no trial gave a usable result")
    with sessions.begin() as session:
        cancel(session, SearchRepository(session, DEFAULT_TENANT).get(third))
    with sessions.read() as session:
        events = session.scalars(select(Event).order_by(Event.search_id, Event.sequence)).all()
    names = {first: "first", second: "second", third: "third"}
    found = [[names[event.search_id], event.type, event.data] for event in events]
    assert {event.type for event in events} == set(get_args(EventType))
    assert golden("events", json.loads(json.dumps(found))) == found
