"""What a tenant uses, counted in the database, and taken by one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from service.identifiers import new_dataset_id, new_search_id
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.states import SearchState
from service.sql.tables import Dataset, Search
from service.sql.usage import Usage, lock_tenant, usage_of
from tests.service.support.rows import SPEC, add_search, add_tenant


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url, connections=8)
    yield sessions
    sessions.engine.dispose()


def usage(sessions: Sessions, tenant: str) -> Usage:
    with sessions.read() as session:
        return usage_of(session, tenant)


def test_what_has_ended_and_what_others_have_is_not_counted(sessions: Sessions) -> None:
    mine, theirs = add_tenant(sessions, "mine"), add_tenant(sessions, "theirs")
    assert usage(sessions, mine) == Usage(0, 0, 0, 0, 0)
    add_search(sessions, mine, "running", trials_total=8, trials_done=3)
    add_search(sessions, mine, "queued", trials_total=8, baseline_total=8)
    add_search(sessions, mine, "paused", trials_total=8, trials_done=1)
    for state in ("succeeded", "failed", "cancelled"):
        add_search(sessions, mine, state)
    add_search(sessions, theirs)
    sizes = (10_000_000_000, 7)  # more than 32 bits
    with sessions.begin() as session:
        for number, size in enumerate(sizes):
            values = {name: "a" for name in ("task", "format", "fingerprint", "path", "sha256")}
            session.add(
                Dataset(
                    id=new_dataset_id(),
                    tenant_id=mine,
                    name=str(number),
                    options={},
                    facts={},
                    source_sha256="a",
                    size_bytes=size,
                    created_at=datetime.now(UTC),
                    **values,
                )
            )
    assert usage(sessions, mine) == Usage(1, 2, 5 + 16 + 7, 0, sum(sizes))


def test_of_many_that_want_the_last_place_one_gets_it(sessions: Sessions) -> None:
    add_search(sessions)

    def take(number: int) -> bool:
        with sessions.begin() as session:
            lock_tenant(session, DEFAULT_TENANT)
            if usage_of(session, DEFAULT_TENANT).queued_searches >= 2:
                return False
            session.add(
                Search(
                    id=new_search_id(),
                    tenant_id=DEFAULT_TENANT,
                    state=SearchState.QUEUED,
                    name=str(number),
                    spec=SPEC,
                    versions={},
                    trials_total=8,
                    dataset_fingerprint="0" * 64,
                    created_at=datetime.now(UTC),
                )
            )
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(8))) == [False] * 7 + [True]


def test_who_writes_for_a_tenant_does_not_wait_for_its_lock(
    sessions: Sessions, backend: str
) -> None:
    """A row that refers to the tenant; on SQLite one writes at a time anyway."""
    with sessions.begin() as session, ThreadPoolExecutor(1) as pool:
        lock_tenant(session, DEFAULT_TENANT)
        written = pool.submit(add_search, sessions)
        if backend == "postgresql":
            assert written.result(timeout=9)  # a lock is waited for for ten seconds
        session.commit()
        assert written.result()
