"""The end of a search arrives at the tenant's server, through failures and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier

from service.running.dispatching.announcing import Announcer
from service.settings import ServiceSettings
from service.sql import webhooks
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.states import SearchState
from service.sql.tables import WebhookDelivery
from service.sql.transitions import change_state
from service.sql.webhooks import EVENTS, Outbox, WebhookRepository
from tests.service.support.receiver import receiving
from tests.service.support.rows import add_search


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return settings.model_copy(update={"webhooks": "any"})


@pytest.fixture
def sessions(settings: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(settings.database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("service.running.dispatching.announcing.POLL_SECONDS", 0.02)


def add_hook(sessions: Sessions, url: str) -> str:
    """Its secret."""
    with sessions.begin() as session:
        return WebhookRepository(session, DEFAULT_TENANT).add(url, EVENTS).secret


def end_search(sessions: Sessions) -> str:
    search_id = add_search(sessions)
    with sessions.begin() as session:
        change_state(session, search_id, SearchState.CANCELLED)
    return search_id


def delivery(sessions: Sessions) -> WebhookDelivery:
    with sessions.read() as session:
        return session.scalars(select(WebhookDelivery)).one()


@contextmanager
def announcing(settings: ServiceSettings) -> Iterator[None]:
    announcer = Announcer(settings)
    announcer.start()
    announcer.start()
    try:
        yield
    finally:
        announcer.stop(10)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_could_not_be_sent_is_sent_again_until_it_arrives(
    settings: ServiceSettings, sessions: Sessions
) -> None:
    with receiving(500, 307, 204) as receiver:
        secret = add_hook(sessions, receiver.url)
        search_id = end_search(sessions)
        with announcing(settings):
            until(lambda: delivery(sessions).ended_at is not None)
    messages = [Verifier(secret).verify(body, headers) for _, headers, body in receiver.got]
    assert [message["data"]["id"] for message in messages] == [search_id] * 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    sent = delivery(sessions)
    assert (sent.state, sent.attempts, sent.status) == ("delivered", 3, 204)


@pytest.mark.parametrize(("answer", "attempts"), [(500, 3), (410, 1)])
def test_what_never_arrives_is_a_dead_letter(
    settings: ServiceSettings, sessions: Sessions, answer: int, attempts: int
) -> None:
    with receiving(answer) as receiver, announcing(settings):
        add_hook(sessions, receiver.url)
        end_search(sessions)
        until(lambda: delivery(sessions).ended_at is not None)
    dead = delivery(sessions)
    assert (dead.state, dead.attempts, dead.error) == ("dead", attempts, f"answered {answer}")
    assert len(receiver.got) == attempts


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_networks_of_the_machine_are_closed_by_default(
    settings: ServiceSettings, sessions: Sessions
) -> None:
    public = settings.model_copy(update={"webhooks": "public"})
    with receiving() as receiver, announcing(public):
        add_hook(sessions, receiver.url)
        end_search(sessions)
        until(lambda: delivery(sessions).ended_at is not None)
    dead = delivery(sessions)
    assert receiver.got == [] and dead.state == "dead"
    assert dead.error is not None and "not on the public internet" in dead.error


@pytest.mark.parametrize("backend", ["sqlite"])
def test_where_webhooks_are_off_nothing_is_sent(
    settings: ServiceSettings, sessions: Sessions
) -> None:
    add_hook(sessions, "http://127.0.0.1:9/")
    end_search(sessions)
    with announcing(settings.model_copy(update={"webhooks": "off"})):
        time.sleep(0.1)
    assert delivery(sessions).attempts == 0
    assert Outbox(sessions).take() is not None
