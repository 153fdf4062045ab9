"""Pollers share queries and nothing else: each gets the answer to its own question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError

from service.api.events import revisions as module
from service.api.events.revisions import Revisions
from service.identifiers import new_search_id
from service.refusals import NotFoundError
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.searches import Revision
from service.sql.tables import Search
from tests.service.support.rows import add_search, add_tenant


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url, connections=2)
    yield sessions
    sessions.engine.dispose()


def test_each_gets_its_own_answer(sessions: Sessions) -> None:
    other = add_tenant(sessions, "other")
    mine = add_search(sessions, revision=3)
    theirs = add_search(sessions, other, state="failed", revision=9)

    async def ask() -> list[object]:
        revisions = Revisions(sessions)
        questions = [
            (DEFAULT_TENANT, mine),
            (other, theirs),
            (DEFAULT_TENANT, theirs),
            (other, mine),
            (DEFAULT_TENANT, new_search_id()),
        ]
        return await asyncio.gather(
            *(revisions.of(*one) for one in questions), return_exceptions=True
        )

    first, second, *missing = asyncio.run(ask())
    assert (first, second) == (Revision(3, False), Revision(9, True))
    assert [type(one) for one in missing] == [NotFoundError] * 3


def test_questions_of_many_are_few_queries(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = [add_search(sessions) for _ in range(20)]
    sizes: list[int] = []
    real = module.revisions

    def counting(connection: object, tenant: str, ids: list[str]) -> dict[str, Revision]:
        sizes.append(len(ids))
        return real(connection, tenant, ids)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "revisions", counting)

    async def ask() -> list[Revision]:
        revisions = Revisions(sessions)
        return await asyncio.gather(
            *(revisions.of(DEFAULT_TENANT, searches[number % 20]) for number in range(1000))
        )

    assert len(asyncio.run(ask())) == 1000
    assert sizes == [20]


def test_no_answer_is_older_than_its_question(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that is committed while a query is under way is seen by who asks after it."""
    search_id = add_search(sessions, revision=1)
    under_way, go_on = threading.Event(), threading.Event()
    real = module.revisions

    def slow(connection: object, tenant: str, ids: list[str]) -> dict[str, Revision]:
        found = real(connection, tenant, ids)  # type: ignore[arg-type]
        under_way.set()
        go_on.wait(5)
        return found

    monkeypatch.setattr(module, "revisions", slow)

    async def ask() -> tuple[Revision, Revision]:
        revisions = Revisions(sessions)
        first = asyncio.create_task(revisions.of(DEFAULT_TENANT, search_id))
        await asyncio.to_thread(under_way.wait, 5)
        with sessions.begin() as session:
            session.get_one(Search, search_id).revision = 2
        second = asyncio.create_task(revisions.of(DEFAULT_TENANT, search_id))
        await asyncio.sleep(0)
        go_on.set()
        return await first, await second

    first, second = asyncio.run(ask())
    assert (first.number, second.number) == (1, 2)


def test_a_client_that_leaves_takes_nobody_along(sessions: Sessions) -> None:
    search_id = add_search(sessions)

    async def ask() -> Revision:
        revisions = Revisions(sessions)
        leaving = asyncio.create_task(revisions.of(DEFAULT_TENANT, search_id))
        staying = asyncio.create_task(revisions.of(DEFAULT_TENANT, search_id))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(ask()) == Revision(1, False)


def test_an_outage_is_told_to_all_and_then_over(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_id = add_search(sessions)

    def fail(*args: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    async def ask() -> list[object]:
        revisions = Revisions(sessions)
        with monkeypatch.context() as patch:
            patch.setattr(module, "revisions", fail)
            failed = await asyncio.gather(
                *(revisions.of(DEFAULT_TENANT, search_id) for _ in range(3)), return_exceptions=True
            )
        return [*failed, await revisions.of(DEFAULT_TENANT, search_id)]

    *failed, after = asyncio.run(ask())
    assert [type(one) for one in failed] == [OperationalError] * 3
    assert after == Revision(1, False)
