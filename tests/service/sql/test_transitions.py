"""Every change of a search's state, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from sqlalchemy import select

from search.engine.journal import StaleOwnerError
from service.sql.database import Sessions, connect
from service.sql.queue import Queue
from service.sql.states import IllegalStateError, SearchState
from service.sql.tables import Event
from service.sql.transitions import change_state
from tests.service.support.rows import add_search, read_search

LEGAL = {
    ("queued", "running"),
    ("queued", "paused"),
    ("queued", "cancelled"),
    ("running", "running"),  # its next owner's
    ("running", "paused"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("paused", "queued"),
    ("paused", "cancelled"),
}


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


def test_a_search_becomes_what_may_follow_and_nothing_else(sessions: Sessions) -> None:
    done = set()
    for before, after in product(SearchState, SearchState):
        search_id = add_search(sessions, state=before)
        try:
            with sessions.begin() as session:
                change_state(session, search_id, after, "because")
        except IllegalStateError as error:
            assert (error.state, error.wanted) == (before, after)
            search = read_search(sessions, search_id)
            assert (search.state, search.revision, search.event_sequence) == (before, 1, 0)
            continue
        done.add((str(before), str(after)))
        search = read_search(sessions, search_id)
        assert (search.state, search.state_reason, search.revision) == (after, "because", 2)
        with sessions.read() as session:
            event = session.scalars(select(Event).where(Event.search_id == search_id)).one()
        assert (event.type, event.sequence) == (f"search.{after}", 1)
        assert (event.data["state"], event.data["reason"]) == (after, "because")
        assert (search.started_at is not None) == (after is SearchState.RUNNING)
        ends = after in (SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED)
        assert (search.ended_at is not None) == ends
    assert done == LEGAL


def test_what_does_not_run_has_no_owner_and_no_request(sessions: Sessions) -> None:
    add_search(sessions, requested="pause")
    claim = Queue(sessions).claim("me")
    assert claim is not None
    running = read_search(sessions, claim.search_id)
    assert (running.lease_owner, running.requested) == ("me", "pause")
    with sessions.begin() as session:
        change_state(session, claim.search_id, SearchState.PAUSED, claim=claim)
    paused = read_search(sessions, claim.search_id)
    assert (paused.lease_owner, paused.lease_expires_at, paused.requested) == (None, None, None)
    with pytest.raises(StaleOwnerError), sessions.begin() as session:
        change_state(session, claim.search_id, SearchState.FAILED, claim=claim)
    assert read_search(sessions, claim.search_id).state is SearchState.PAUSED
