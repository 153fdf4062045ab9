from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from service.running.exits import Exit
from service.running.lease_keeper import STILL, LeaseKeeper
from service.sql.database import Sessions, connect
from service.sql.lease import Claim
from service.sql.queue import Queue
from service.sql.tables import Event, Search
from tests.service.support.rows import add_search, read_search


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def queue(sessions: Sessions) -> Queue:
    add_search(sessions)
    return Queue(sessions, lease_seconds=4.0)


@pytest.fixture
def claim(queue: Queue) -> Claim:
    claim = queue.claim("me")
    assert claim is not None
    return claim


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def owned(queue: Queue, claim: Claim, **options: float) -> tuple[LeaseKeeper, list[int]]:
    ends: list[int] = []
    requests = replace(queue.requests(claim), elapsed_seconds=100.0)
    keeper = LeaseKeeper(queue, claim, requests, exit=ends.append, **options)  # type: ignore[arg-type]  # stall_seconds alone
    keeper.start()
    return keeper, ends


def test_the_lease_outlives_its_length(sessions: Sessions, queue: Queue, claim: Claim) -> None:
    keeper, ends = owned(queue, claim)
    deadline = time.monotonic() + 6.0
    while time.monotonic() < deadline:
        assert queue.claim("you") is None
        time.sleep(0.05)
    keeper.close()
    keeper.join()
    assert ends == []
    assert read_search(sessions, claim.search_id).elapsed_seconds > 104.0


def test_a_lost_lease_ends_the_process(queue: Queue, claim: Claim) -> None:
    keeper, ends = owned(queue, claim)
    queue.release(claim)
    until(lambda: ends)
    assert ends[0] == Exit.LOST
    keeper.close()
    keeper.join()


def test_a_stop_gives_the_search_back(queue: Queue, claim: Claim) -> None:
    keeper, ends = owned(queue, claim)
    keeper.stop()
    keeper.join()
    assert ends == [Exit.DONE]
    again = queue.claim("next")
    assert again is not None
    assert again.token == claim.token + 1


def test_a_cancel_ends_the_search_and_the_process_whatever_else_it_does(
    sessions: Sessions, queue: Queue, claim: Claim
) -> None:
    _, ends = owned(queue, claim)
    with sessions.begin() as session:
        session.get_one(Search, claim.search_id).requested = "cancel"
    until(lambda: ends)
    assert ends == [Exit.DONE]
    assert read_search(sessions, claim.search_id).state == "cancelled"


def test_clients_hear_what_a_search_waits_for(
    sessions: Sessions, queue: Queue, claim: Claim
) -> None:
    def reason() -> str | None:
        return read_search(sessions, claim.search_id).state_reason

    keeper, ends = owned(queue, claim, silent_seconds=0.2)
    keeper.tell("waiting for a node")
    until(lambda: reason() == "waiting for a node")
    keeper.turn()  # and none after it
    until(lambda: reason() == STILL)
    keeper.rest()
    until(lambda: reason() is None)
    keeper.close()
    keeper.join()
    assert ends == []
    with sessions.read() as session:
        query = select(Event.data).where(Event.type == "search.waiting").order_by(Event.sequence)
        assert [data["reason"] for data in session.scalars(query)] == [
            "waiting for a node",
            STILL,
            None,
        ]


def test_an_engine_that_stands_still_ends_the_process(queue: Queue, claim: Claim) -> None:
    keeper, ends = owned(queue, claim, stall_seconds=0.5)
    keeper.turn()
    until(lambda: ends)
    assert ends[0] == Exit.STALLED
    keeper.join()


def test_an_engine_that_has_returned_may_take_its_time(queue: Queue, claim: Claim) -> None:
    keeper, ends = owned(queue, claim, stall_seconds=0.3)
    keeper.turn()
    keeper.rest()
    time.sleep(0.8)
    keeper.close()
    keeper.join()
    assert ends == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_short_outage_is_outlasted(sessions: Sessions, queue: Queue, claim: Claim) -> None:
    """The table is away for longer than a heartbeat's pause, as in a restart of the database."""
    keeper, ends = owned(queue, claim)
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE searches RENAME TO away"))
    time.sleep(0.9)
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE away RENAME TO searches"))
    until(lambda: read_search(sessions, claim.search_id).elapsed_seconds > 100.9)
    keeper.close()
    keeper.join()
    assert ends == []
