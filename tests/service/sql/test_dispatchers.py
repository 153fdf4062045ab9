from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from service.sql.database import Sessions, connect
from service.sql.dispatchers import NOBODY, Dispatchers, Node
from service.sql.limits import TenantLimits
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Search, WorkerSeconds
from service.sql.worker_seconds import add_worker_seconds
from tests.service.support.rows import add_search, add_tenant, read_search


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def dispatchers(sessions: Sessions) -> Dispatchers:
    return Dispatchers(sessions)


def lives(owner: str) -> bool:
    return False


def dead(owner: str) -> bool:
    return True


def owners(dispatchers: Dispatchers) -> list[str]:
    return [dispatcher.owner for dispatcher in dispatchers.alive(lives)]


def test_a_dispatcher_is_alive_until_it_is_silent_for_too_long(dispatchers: Dispatchers) -> None:
    dispatchers.beat("a", 0.3, None)
    dispatchers.beat("b", 600, "Ray: it is starting")
    first = dispatchers.alive(lives)
    assert [(d.owner, d.obstacle) for d in first] == [("a", None), ("b", "Ray: it is starting")]
    time.sleep(0.5)
    assert owners(dispatchers) == ["b"]
    dispatchers.beat("b", 600, None)
    (again,) = dispatchers.alive(lives)
    assert again.obstacle is None and again.seen_at > first[1].seen_at


def test_a_dispatcher_says_what_its_node_has(dispatchers: Dispatchers) -> None:
    dispatchers.beat("a", 600, None, Node(16, 1))
    dispatchers.beat("b", 600, None)
    assert [d.node for d in dispatchers.alive(lives)] == [Node(16, 1), None]
    dispatchers.beat("a", 600, "Ray: it is starting")  # what it had is gone
    assert [d.node for d in dispatchers.alive(lives)] == [None, None]


def test_a_process_that_has_ended_is_not_waited_for(dispatchers: Dispatchers) -> None:
    dispatchers.beat("a", 600, None)
    assert dispatchers.alive(dead) == []


def test_one_that_leaves_or_is_dead_is_forgotten(dispatchers: Dispatchers) -> None:
    for owner in "abc":
        dispatchers.beat(owner, 600, None)
    dispatchers.leave("a")
    dispatchers.sweep(lambda owner: owner == "b")
    assert owners(dispatchers) == ["c"]


def test_a_search_that_waits_says_what_for(sessions: Sessions, dispatchers: Dispatchers) -> None:
    search_id = add_search(sessions)

    def reason() -> str | None:
        dispatchers.explain(lives)
        return read_search(sessions, search_id).state_reason

    assert reason() == f"waiting for {NOBODY}"
    dispatchers.beat("a", 600, "Ray: no answer")
    assert reason() == "waiting for Ray: no answer"
    revision = read_search(sessions, search_id).revision
    dispatchers.beat("b", 600, "a driver")
    assert reason() == "waiting for Ray: no answer"
    assert read_search(sessions, search_id).revision == revision  # nothing new for its clients
    dispatchers.beat("b", 600, None)
    assert reason() is None


def test_a_search_that_waits_for_a_quota_says_so(
    sessions: Sessions, dispatchers: Dispatchers
) -> None:
    limits, tenant = TenantLimits(running_searches=1, worker_seconds=10), "other"
    add_tenant(sessions, tenant)
    running, waiting = add_search(sessions, tenant), add_search(sessions, tenant)
    claim = Queue(sessions, limits=limits).claim("me")
    assert claim is not None and claim.search_id == running
    next_in_turn = add_search(sessions)
    dispatchers.beat("a", 600, None)

    def reason(search_id: str) -> str | None:
        dispatchers.explain(lives, limits)
        return read_search(sessions, search_id).state_reason

    wanted = "waiting for another search to end: 1 of this tenant may run at a time"
    assert reason(waiting) == wanted
    revision = read_search(sessions, waiting).revision
    assert (reason(next_in_turn), reason(running), reason(waiting)) == (None, None, wanted)
    assert read_search(sessions, waiting).revision == revision  # nothing new for its clients
    with sessions.begin() as session:
        add_worker_seconds(session, tenant, 4.0)
        add_worker_seconds(session, tenant, 6.0)
    assert reason(waiting) == (
        "waiting for the next day (UTC): the 10 worker seconds of today are used"
    )
    dispatchers.beat("a", 600, "Ray: no answer")
    assert reason(waiting) == "waiting for Ray: no answer"
    dispatchers.beat("a", 600, None)
    with sessions.begin() as session:
        session.execute(delete(WorkerSeconds))
    Queue(sessions).finish(claim, SearchState.SUCCEEDED)
    assert reason(waiting) is None


def test_an_interrupted_search_says_so_and_a_running_one_does_not(
    sessions: Sessions, dispatchers: Dispatchers
) -> None:
    add_search(sessions)
    add_search(sessions)
    queue = Queue(sessions)
    held, given_back = queue.claim("me"), queue.claim("me")
    assert held is not None and given_back is not None
    queue.release(given_back)
    dispatchers.beat("a", 600, "Ray: no answer")
    dispatchers.explain(lives)
    assert read_search(sessions, given_back.search_id).state_reason == "waiting for Ray: no answer"
    assert read_search(sessions, held.search_id).state_reason is None
    again = queue.claim("me")
    assert again is not None and again.search_id == given_back.search_id
    assert read_search(sessions, again.search_id).state_reason is None


def test_ended_and_paused_searches_keep_their_reason(
    sessions: Sessions, dispatchers: Dispatchers
) -> None:
    search_id = add_search(sessions)
    for state in ("paused", "failed", "cancelled", "succeeded"):
        with sessions.begin() as session:
            search = session.get_one(Search, search_id)
            search.state, search.state_reason = state, "as it ended"
        dispatchers.explain(lives)
        assert read_search(sessions, search_id).state_reason == "as it ended"
