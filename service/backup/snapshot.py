"""A database at one moment, as a SQLite file of this version's schema; and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from service.backup.archive import BackupError
from service.sql.database import Sessions, create_engine, is_migrated, migrate
from service.sql.tables import Base, Search, Tenant, Upload

_ROWS = 1000  # that are on their way at a time
_PASSING = frozenset({"dispatchers"})
"""Tables that tell who is there now."""

_LOST = "the service was restored from a backup that was made while it read the file; upload again"


def take_snapshot(engine: Engine, file: Path) -> None:
    """What was committed when this began, whoever writes meanwhile; nobody waits for it.

    Raises:
        BackupError: a PostgreSQL database has another schema than this version.
    """
    if engine.dialect.name == "sqlite":
        _copy_file(engine, file)
        _bring_up(file)
        return
    migrate(f"sqlite:///{file}")
    with _opened(file) as target, target.begin() as into, engine.connect() as connection:
        source = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            source.execute(text(f"SET LOCAL {limit} = 0"))
        if not is_migrated(source):
            raise BackupError("the database has another schema; run `nasmith migrate` first")
        _copy_rows(source, into)


def put_back(file: Path, sessions: Sessions) -> None:
    """Fill an empty database, whole or not at all. Nobody owns its searches, so that they go on
    with the next dispatcher; what was being read has failed.

    Raises:
        BackupError: the database holds something, or the snapshot is of a later version.
    """
    _bring_up(file)
    with _opened(file) as source, source.connect() as reading, sessions.begin() as session:
        into = session.connection()
        if into.dialect.name == "postgresql":
            into.execute(text("SET LOCAL statement_timeout = 0"))
            into.execute(text("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE"))
        refuse_occupied(into)
        _copy_rows(reading, into)
        session.execute(update(Search).values(lease_owner=None, lease_expires_at=None))
        session.execute(update(Upload).where(Upload.reason.is_(None)).values(reason=_LOST))


def refuse_occupied(connection: Connection) -> None:
    """
    Raises:
        BackupError: it has rows beside those that every migrated database has.
    """
    counts = {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
        if table.name not in _PASSING | {Tenant.__tablename__}
    }
    if found := ", ".join(f"{count} {name}" for name, count in counts.items() if count):
        raise BackupError(f"the database is not empty: {found}; restore into a new home")


def _copy_file(engine: Engine, file: Path) -> None:
    """All pages in one step of SQLite's backup: in WAL it reads one state and stops no writer."""
    raw = engine.raw_connection()
    try:
        source: Any = raw.driver_connection
        target = type(source)(str(file))
        try:
            source.backup(target)
        finally:
            target.close()
    finally:
        raw.close()


def _bring_up(file: Path) -> None:
    try:
        migrate(f"sqlite:///{file}")
    except CommandError as error:
        raise BackupError(f"its database is of a later version of Nasmith: {error}") from None


def _copy_rows(source: Connection, target: Connection) -> None:
    """Of every table, parents first."""
    target.execute(delete(Tenant))
    for table in Base.metadata.sorted_tables:
        if table.name in _PASSING:
            continue
        rows = source.execute(select(table).execution_options(yield_per=_ROWS))
        for part in rows.mappings().partitions(_ROWS):
            target.execute(insert(table), [dict(row) for row in part])


@contextmanager
def _opened(file: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        yield engine
    finally:
        engine.dispose()
