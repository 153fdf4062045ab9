from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from service.sql.database import Sessions, connect
from service.sql.dispatchers import NOBODY, Dispatchers
from service.sql.queue import Queue
from service.sql.tables import Search
from tests.service.support.rows import add_search, read_search


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
