"""Keys as rows: hashes, tenants, revocation, last use."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from service.refusals import NotFoundError
from service.settings import ServiceSettings
from service.sql.api_keys import (
    Caller,
    KeyRepository,
    Scope,
    add_key,
    caller_of,
    has_operator,
    hash_of,
    is_key,
    new_key,
    note_use,
)
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.tables import ApiKey, Tenant


@pytest.fixture
def sessions(settings: ServiceSettings) -> Sessions:
    return connect(settings.database_url)


def test_a_key_is_256_random_bits_and_is_known_by_its_beginning() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert key.startswith("nsk_") and len(key) == 4 + 43 and is_key(key)  # 43 * 6 bits
    assert not is_key("nsk_short") and not is_key(f"{new_key()}x") and not is_key("")


def test_the_key_itself_is_nowhere_in_the_database(sessions: Sessions) -> None:
    key = new_key()
    with sessions.begin() as session:
        row = add_key(session, "mine", key, "of a test", [Scope.READ])
    with sessions.read() as session:
        stored = session.execute(select(ApiKey)).scalar_one()
        assert session.get(Tenant, "mine") is not None
    assert stored.sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert stored.hint == key[:10]
    values = [getattr(stored, column.name) for column in ApiKey.__table__.columns]
    assert not any(key[10:] in str(value) for value in values)
    assert stored.id == row.id and stored.id.startswith("key_")


def test_a_hash_leads_to_who_asks(sessions: Sessions) -> None:
    key, end = new_key(), datetime.now(UTC) + timedelta(days=1)
    with sessions.begin() as session:
        row = add_key(session, "mine", key, "k", [Scope.WRITE, Scope.READ], end)
    with sessions.read() as session:
        assert caller_of(session, hash_of(key)) == Caller("mine", Scope.WRITE, row.id, end)
        assert caller_of(session, hash_of(new_key())) is None
    with sessions.begin() as session:
        first = KeyRepository(session, "mine").revoke(row.id).revoked_at
    with sessions.begin() as session:
        assert caller_of(session, hash_of(key)) is None
        assert KeyRepository(session, "mine").revoke(row.id).revoked_at == first


def test_the_keys_of_another_tenant_do_not_exist(sessions: Sessions) -> None:
    with sessions.begin() as session:
        mine = add_key(session, "mine", new_key(), "m", [Scope.READ]).id
        theirs = add_key(session, "theirs", new_key(), "t", [Scope.READ]).id
    with sessions.begin() as session:
        keys = KeyRepository(session, "mine")
        assert [row.id for row in keys.page(10, before=None)] == [mine]
        for refused in (keys.get, keys.revoke):
            with pytest.raises(NotFoundError):
                refused(theirs)
        everybody = KeyRepository(session, None)
        assert [row.id for row in everybody.page(10, before=None)] == [theirs, mine]
        assert [row.id for row in everybody.page(10, before=theirs)] == [mine]


def test_the_last_use_is_written_once_a_minute(sessions: Sessions) -> None:
    with sessions.begin() as session:
        key_id = add_key(session, "mine", new_key(), "k", [Scope.READ]).id

    def used() -> datetime | None:
        with sessions.begin() as session:
            note_use(session, key_id)
        with sessions.read() as session:
            return session.get_one(ApiKey, key_id).last_used_at

    first = used()
    assert first is not None and used() == first
    earlier = first - timedelta(seconds=61)
    with sessions.begin() as session:
        session.execute(update(ApiKey).values(last_used_at=earlier))
    second = used()
    assert second is not None and second > earlier + timedelta(seconds=60)


def test_an_operator_is_an_admin_of_the_first_tenant_whose_key_is_valid(
    sessions: Sessions,
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with sessions.begin() as session:
        assert not has_operator(session)
        add_key(session, "other", new_key(), "k", [Scope.ADMIN])
        add_key(session, DEFAULT_TENANT, new_key(), "k", [Scope.WRITE])
        add_key(session, DEFAULT_TENANT, new_key(), "k", [Scope.ADMIN], past)
        assert not has_operator(session)
        key_id = add_key(session, DEFAULT_TENANT, new_key(), "k", [Scope.ADMIN]).id
        assert has_operator(session)
        KeyRepository(session, None).revoke(key_id)
        session.flush()
        assert not has_operator(session)


@pytest.mark.parametrize(
    ("has", "opens"), [("read", "read"), ("write", "read write"), ("admin", "read write admin")]
)
def test_a_scope_includes_those_before_it(has: str, opens: str) -> None:
    caller = Caller("mine", Scope(has))
    assert [scope.value for scope in Scope if caller.may(scope)] == opens.split()
