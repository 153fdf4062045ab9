from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError, StatementError

from service.settings import ServiceSettings, normal_url
from service.sql.database import (
    DEFAULT_TENANT,
    Sessions,
    check,
    connect,
    create_engine,
    is_migrated,
    migrate,
)
from service.sql.events import append_event, events_after
from service.sql.tables import Base, Event, Search, Tenant
from tests.service.support.rows import SPEC, add_search, read_search


@pytest.fixture
def sessions(database_url: str, request: pytest.FixtureRequest) -> Sessions:
    sessions = connect(database_url)
    request.addfinalizer(sessions.engine.dispose)
    return sessions


def test_the_migrations_make_the_tables(empty_database_url: str) -> None:
    migrate(empty_database_url)
    check(empty_database_url)  # raises where the two differ
    sessions = connect(empty_database_url)
    with sessions.read() as session:
        assert is_migrated(session.connection())
        assert session.get_one(Tenant, DEFAULT_TENANT).name == "default"
    sessions.engine.dispose()


def test_an_unmigrated_database_is_told_from_a_migrated_one(empty_database_url: str) -> None:
    sessions = connect(empty_database_url)
    with sessions.read() as session:
        assert not is_migrated(session.connection())
    sessions.engine.dispose()


def test_a_schema_goes_down_and_up_again(empty_database_url: str) -> None:
    migrate(empty_database_url)
    sessions = connect(empty_database_url)
    add_search(sessions)
    sessions.engine.dispose()
    migrate(empty_database_url, "base")
    engine = create_engine(empty_database_url)
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()
    migrate(empty_database_url)
    check(empty_database_url)


def test_migrating_again_keeps_the_data(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_database_url)
    sessions = connect(empty_database_url)
    search_id = add_search(sessions)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "alembic", None)  # it is for what has to change
        migrate(empty_database_url)
    assert read_search(sessions, search_id).id == search_id
    sessions.engine.dispose()


def test_the_columns_of_older_searches_are_what_their_specs_say(empty_database_url: str) -> None:
    """Those that were stored before the columns were."""
    migrate(empty_database_url)
    sessions = connect(empty_database_url)
    spec = {**SPEC, "budget": {"trials": 7, "seconds": 30.5}, "baseline": "random"}
    spec |= {"dataset": "wine", "baselines": ["lenet-5", "gru"]}
    full, bare = add_search(sessions, spec=spec, trials_total=7), add_search(sessions)
    sessions.engine.dispose()
    migrate(empty_database_url, "0006")
    sessions = connect(empty_database_url)
    with sessions.read() as session:
        assert not is_migrated(session.connection())
    sessions.engine.dispose()
    migrate(empty_database_url)
    sessions = connect(empty_database_url)
    found = read_search(sessions, full)
    assert (found.dataset, found.baseline_total, found.seconds_limit) == ("wine", 9, 30.5)
    found = read_search(sessions, bare)
    assert (found.dataset, found.baseline_total, found.seconds_limit) == ("digits", 0, None)
    assert found.warnings is None
    sessions.engine.dispose()


def test_many_processes_may_migrate_at_once(empty_database_url: str) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate(empty_database_url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    check(empty_database_url)


def test_a_failed_migration_leaves_nothing_behind(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDL is part of the transaction on both databases."""
    from alembic import op

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", fail)
        with pytest.raises(RuntimeError, match="half-way"):
            migrate(empty_database_url)
    engine = create_engine(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    migrate(empty_database_url)
    check(empty_database_url)


def test_every_row_belongs_to_a_tenant() -> None:
    for table in Base.metadata.sorted_tables:
        if table.name not in ("tenants", "dispatchers"):  # these run the searches of all
            assert not table.c.tenant_id.nullable, table.name
            targets = {key.target_fullname for key in table.c.tenant_id.foreign_keys}
            assert targets == {"tenants.id"}, table.name


def test_foreign_keys_are_enforced(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError), sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO events (search_id, sequence, tenant_id, type, data, created_at) "
                "VALUES ('srch_none', 1, 'default', 'x', '{}', '2026-01-01 00:00:00')"
            )
        )


def test_a_session_that_reads_writes_nothing(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    with sessions.read() as session:
        session.get_one(Search, search_id).name = "changed"
    assert read_search(sessions, search_id).name == "of a test"


def test_readers_do_not_wait_for_a_writer(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    with sessions.begin() as writing:
        writing.get_one(Search, search_id).name = "not committed"
        writing.flush()
        assert read_search(sessions, search_id).name == "of a test"


def test_writers_wait_for_each_other_and_lose_nothing(sessions: Sessions) -> None:
    search_id = add_search(sessions, trials_done=0)

    def count() -> None:
        for _ in range(20):
            with sessions.begin() as session:
                row = session.get_one(Search, search_id, with_for_update=True)
                row.trials_done += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_search(sessions, search_id).trials_done == 80


def test_times_come_back_in_utc(sessions: Sessions) -> None:
    noon = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    search_id = add_search(sessions)
    with sessions.begin() as session:
        session.get_one(Search, search_id).started_at = noon
    started = read_search(sessions, search_id).started_at
    assert started == noon
    assert started is not None and started.tzinfo is UTC
    with pytest.raises(StatementError, match="zone"), sessions.begin() as session:
        session.get_one(Search, search_id).started_at = datetime(2026, 7, 1)


def test_text_that_a_database_cannot_hold_is_mended_on_its_way(sessions: Sessions) -> None:
    broken = {"label\0": ["half \ud83d of a pair", "\U0001f600"], "plain": "\\u0000"}
    search_id = add_search(sessions, best=broken, state_reason="at \0 and \udfff")
    found = read_search(sessions, search_id)
    assert found.best == {
        "label\ufffd": ["half \ufffd of a pair", "\U0001f600"],
        "plain": "\\u0000",
    }
    assert found.state_reason == "at \ufffd and \ufffd"


def test_nothing_is_sql_null_and_not_json_null(sessions: Sessions) -> None:
    add_search(sessions, best=None)
    with sessions.read() as session:
        assert session.scalar(text("SELECT count(*) FROM searches WHERE best IS NULL")) == 1


def test_events_are_numbered_without_holes_by_many_writers(sessions: Sessions) -> None:
    search_id = add_search(sessions)

    def write() -> None:
        for number in range(10):
            with sessions.begin() as session:
                search = session.get_one(Search, search_id)
                append_event(session, search, "search.updated", {"number": number})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions.read() as session:
        events = events_after(session, search_id, 0, 100)
        search = session.get_one(Search, search_id)
    assert [event.sequence for event in events] == list(range(1, 41))
    assert search.event_sequence == 40
    assert search.revision == 41


def test_a_rolled_back_event_leaves_no_hole(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    with pytest.raises(RuntimeError), sessions.begin() as session:
        append_event(session, session.get_one(Search, search_id), "search.updated", {})
        raise RuntimeError
    with sessions.begin() as session:
        event = append_event(session, session.get_one(Search, search_id), "search.updated", {})
    assert event.sequence == 1


def test_the_best_of_an_event_is_the_best_of_the_search(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    best = {"trial": 3, "metrics": {"val_accuracy": 0.5}}
    with sessions.begin() as session:
        append_event(session, session.get_one(Search, search_id), "best.changed", best)
    assert read_search(sessions, search_id).best == best


def test_deleting_a_search_deletes_what_belongs_to_it(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    with sessions.begin() as session:
        append_event(session, session.get_one(Search, search_id), "search.updated", {})
    with sessions.begin() as session:
        session.delete(session.get_one(Search, search_id))
    with sessions.read() as session:
        assert session.query(Event).count() == 0


def test_sqlite_is_set_up_to_keep_what_it_accepted(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    engine.dispose()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)  # before, WAL could corrupt


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p%40ss@h:5/d", "postgresql+psycopg://u:p%40ss@h:5/d"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_a_database_url_gets_our_driver(given: str, expected: str) -> None:
    assert normal_url(given) == expected


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"SQLite|sqlite"):
        normal_url(url)


def test_settings_follow_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASMITH_HOME", str(tmp_path))
    settings = ServiceSettings()
    assert settings.database_url == f"sqlite:///{tmp_path / 'nasmith.db'}"
    assert settings.store_url == f"file://{tmp_path}"


def test_settings_do_not_show_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASMITH_DATABASE_URL", "postgres://user:geheim@host/db")
    settings = ServiceSettings()
    assert settings.database_url == "postgresql+psycopg://user:geheim@host/db"
    assert "geheim" not in repr(settings)
