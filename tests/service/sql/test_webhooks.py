"""What is to be sent is written with the end of a search, and sent by one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from service.sql import webhooks
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.queue import Queue
from service.sql.states import DeliveryState, SearchState
from service.sql.tables import WebhookDelivery
from service.sql.transitions import change_state
from service.sql.webhooks import EVENTS, PAUSES, Due, Outbox, WebhookRepository
from tests.service.support.rows import add_search, add_tenant

URL = "https://example.org/hook"


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url, connections=8)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def outbox(sessions: Sessions) -> Outbox:
    return Outbox(sessions)


def hook(sessions: Sessions, tenant: str = DEFAULT_TENANT, *events: str) -> str:
    with sessions.begin() as session:
        return WebhookRepository(session, tenant).add(URL, events or EVENTS).id


def rows(sessions: Sessions) -> list[WebhookDelivery]:
    with sessions.read() as session:
        return list(session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)))


def wait(sessions: Sessions) -> None:
    """As if an hour had passed."""
    with sessions.begin() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.next_at.is_not(None))
            .values(next_at=datetime.now(UTC) - timedelta(hours=1))
        )


def cancel(sessions: Sessions, search_id: str) -> None:
    with sessions.begin() as session:
        change_state(session, search_id, SearchState.CANCELLED)


def taken(outbox: Outbox) -> Due:
    due = outbox.take()
    assert due is not None
    return due


def test_each_end_is_written_for_who_wants_it(sessions: Sessions) -> None:
    every = hook(sessions)
    failures = hook(sessions, DEFAULT_TENANT, "search.failed")
    hook(sessions, add_tenant(sessions, "other"))
    queue = Queue(sessions)
    best = {"trial": 3, "metrics": {"val_accuracy": 0.5}}
    for state in (SearchState.SUCCEEDED, SearchState.FAILED):
        add_search(sessions, best=best)
        claim = queue.claim("me")
        assert claim is not None
        queue.finish(claim, state, "as it ended")
    cancel(sessions, add_search(sessions))
    paused = add_search(sessions)
    with sessions.begin() as session:
        change_state(session, paused, SearchState.PAUSED)
    found = [(row.webhook_id, row.type) for row in rows(sessions)]
    assert sorted(found) == sorted([*((every, type) for type in EVENTS), (failures, EVENTS[1])])
    (failed,) = [row for row in rows(sessions) if row.webhook_id == failures]
    data = failed.payload["data"]
    assert failed.payload["type"] == "search.failed" and data["best"] == best
    assert (data["state"], data["state_reason"]) == ("failed", "as it ended")
    assert data["id"] == failed.search_id and data["name"] == "of a test"


def test_an_end_that_does_not_count_is_not_told(sessions: Sessions) -> None:
    hook(sessions)
    search_id = add_search(sessions)
    with pytest.raises(RuntimeError), sessions.begin() as session:
        change_state(session, search_id, SearchState.CANCELLED)
        raise RuntimeError
    assert rows(sessions) == []


def test_of_many_senders_one_gets_each_delivery(sessions: Sessions, outbox: Outbox) -> None:
    hook(sessions)
    for _ in range(6):
        cancel(sessions, add_search(sessions))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: outbox.take(), range(24)))
    ids = [due.id for due in found if due is not None]
    while (due := outbox.take()) is not None:  # a row that another one locked was skipped
        ids.append(due.id)
    assert sorted(ids) == [row.id for row in rows(sessions)]


def test_a_delivery_is_tried_until_it_arrives(sessions: Sessions, outbox: Outbox) -> None:
    hook(sessions)
    cancel(sessions, add_search(sessions))
    first = taken(outbox)
    assert (first.attempt, first.url, first.payload["type"]) == (1, URL, "search.cancelled")
    assert outbox.take() is None
    outbox.failed(first, "answered 500", 500, last=False)
    (row,) = rows(sessions)
    assert (row.state, row.status, row.error) == ("pending", 500, "answered 500")
    assert row.next_at is not None
    assert (row.next_at - datetime.now(UTC)).total_seconds() == pytest.approx(PAUSES[0], abs=5)
    wait(sessions)
    second = taken(outbox)
    assert (second.id, second.attempt) == (first.id, 2)
    outbox.arrived(second, 204)
    (row,) = rows(sessions)
    assert (row.state, row.status, row.error, row.next_at) == ("delivered", 204, None, None)
    assert row.ended_at is not None and outbox.take() is None


def test_after_the_last_attempt_it_is_dead_and_seen(sessions: Sessions, outbox: Outbox) -> None:
    webhook_id = hook(sessions)
    cancel(sessions, add_search(sessions))
    for attempt in range(1, len(PAUSES) + 2):
        due = taken(outbox)
        assert due.attempt == attempt
        outbox.failed(due, "no answer", last=False)
        wait(sessions)
    assert outbox.take() is None
    with sessions.read() as session:
        repository = WebhookRepository(session, DEFAULT_TENANT)
        dead = repository.deliveries(webhook_id, 10, before=None, state=DeliveryState.DEAD)
        alive = repository.deliveries(webhook_id, 10, before=None, state=DeliveryState.PENDING)
    assert [(row.attempts, row.error) for row in dead] == [(len(PAUSES) + 1, "no answer")]
    assert alive == []


def test_what_a_sender_that_has_ended_left_is_sent_by_another(
    sessions: Sessions, outbox: Outbox
) -> None:
    """At least once: of the one that was only slow, nothing more is believed."""
    hook(sessions)
    cancel(sessions, add_search(sessions))
    slow = taken(outbox)
    wait(sessions)
    again = taken(outbox)
    assert (again.id, again.attempt) == (slow.id, 2)
    outbox.failed(slow, "late", last=True)
    assert rows(sessions)[0].state is DeliveryState.PENDING
    outbox.arrived(again, 200)
    assert rows(sessions)[0].state is DeliveryState.DELIVERED


def test_what_ended_long_ago_is_forgotten(
    sessions: Sessions, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(sessions)
    for _ in range(2):
        cancel(sessions, add_search(sessions))
    outbox.arrived(taken(outbox), 200)
    outbox.forget_old()
    assert len(rows(sessions)) == 2
    monkeypatch.setattr(webhooks, "KEPT", timedelta(seconds=-60))
    outbox.forget_old()
    assert [row.state for row in rows(sessions)] == ["pending"]


def test_a_deleted_webhook_gets_nothing_more(sessions: Sessions, outbox: Outbox) -> None:
    webhook_id = hook(sessions)
    cancel(sessions, add_search(sessions))
    with sessions.begin() as session:
        WebhookRepository(session, DEFAULT_TENANT).delete(webhook_id)
    assert outbox.take() is None and rows(sessions) == []
