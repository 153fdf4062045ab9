"""Engines, sessions and migrations, for SQLite and PostgreSQL alike."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event, inspect, make_url, text
from sqlalchemy import create_engine as _create_engine
from sqlalchemy.orm import Session, sessionmaker

import migrations
from service.settings import normal_url
from service.sql.documents import read_document, write_document

if TYPE_CHECKING:
    from alembic.config import Config

DEFAULT_TENANT = "default"

BUSY_SECONDS = 10.0
"""How long a statement waits for what another transaction holds."""

_MIGRATION_LOCK = 0x6E657473  # any number, the same in every process: "nets"
_READING = {"nasmith_reading": True}


def create_engine(
    url: str,
    *,
    connections: int = 5,
    foreign_keys: bool = True,
    busy_seconds: float = BUSY_SECONDS,
) -> Engine:
    """An engine whose transactions are safe to write in; `connections` is the largest pool.

    SQLite: WAL, every commit on disk, and each transaction takes the write lock when it begins
    (`Sessions.read` does not), so that two writers wait for each other and never fail half-way.
    """
    parsed = make_url(normal_url(url))
    documents = {"json_serializer": write_document, "json_deserializer": read_document}
    if parsed.get_backend_name() == "sqlite":
        engine = _create_engine(
            parsed,
            module=_sqlite_module(),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=busy_seconds,
            connect_args={"timeout": busy_seconds, "check_same_thread": False},
            **documents,
        )
        _make_sqlite_safe(engine, foreign_keys)
        return engine
    return _create_engine(
        parsed,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "nasmith",
            "options": f"-c timezone=UTC -c lock_timeout={busy_seconds * 1000:.0f}ms "
            "-c statement_timeout=60s "
            "-c idle_in_transaction_session_timeout=60s",  # a frozen client holds its locks
        },
        **documents,
    )


class Sessions:
    """Sessions of one engine. A block is one transaction, rolled back on any exception."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = sessionmaker(engine, expire_on_commit=False)
        options: dict[str, Any] = dict(_READING)
        if engine.dialect.name == "postgresql":
            options["postgresql_readonly"] = True
        self._reader = engine.execution_options(**options)
        self._reading = sessionmaker(self._reader, expire_on_commit=False)

    def begin(self) -> AbstractContextManager[Session]:
        """A transaction that may write, committed at the end of the block."""
        return self._writing.begin()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads: it takes no write lock and writes nothing."""
        with self._reading() as session:
            yield session

    def connect(self) -> Connection:
        """The connection of a transaction that only reads, without a session around it."""
        return self._reader.connect()


def connect(url: str, *, connections: int = 5, busy_seconds: float = BUSY_SECONDS) -> Sessions:
    """The sessions of a migrated database."""
    return Sessions(create_engine(url, connections=connections, busy_seconds=busy_seconds))


def _enter_wal(connection: Any, seconds: float = 30.0) -> None:
    """SQLite does not wait for its lock when a new database enters WAL, so this does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except Exception as error:  # of either SQLite module
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`, upwards or down to `base`. Safe from many processes at once:
    the first one does it under a lock, the others wait and find nothing to do.
    """
    engine = create_engine(url, foreign_keys=False)
    if engine.dialect.name == "sqlite":
        Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                )
            if revision != "head" or not is_migrated(connection):
                _move(connection, revision)
    finally:
        engine.dispose()


def check(url: str) -> None:
    """
    Raises:
        alembic.util.CommandError: the tables of the database differ from `service.sql.tables`.
    """
    from alembic import command

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            command.check(alembic_config(connection))
    finally:
        engine.dispose()


def is_migrated(connection: Connection) -> bool:
    """Whether the schema is the newest that this version of Nasmith knows.

    Asked of the database alone: Alembic, which takes a while to import, is for what has to change.
    """
    return _revision(connection) == _newest()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration without a file: it also works from an installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", str(Path(migrations.__file__).parent).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@cache
def _newest() -> str:
    """Migrations are numbered, and begin with their number."""
    versions = Path(migrations.__file__).parent / "versions"
    return max(file.name.partition("_")[0] for file in versions.glob("[0-9]*_*.py"))


def _move(connection: Connection, revision: str) -> None:
    """Upwards or, to `base` or to an ancestor of where the database is, down."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    current = _revision(connection)
    ancestors: set[str] = set()
    if current is not None and revision != "head":
        scripts = ScriptDirectory.from_config(config)
        ancestors = {script.revision for script in scripts.iterate_revisions(current, "base")}
    if revision == "base" or revision in ancestors - {current}:
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _sqlite_module() -> Any:
    """SQLite of `pysqlite3` where there is a wheel: Python's own may hold the WAL-reset bug that
    corrupts databases (fixed in SQLite 3.51.3).
    """
    name = "pysqlite3.dbapi2" if sys.platform == "linux" else "sqlite3"
    return importlib.import_module(name)


def _make_sqlite_safe(engine: Engine, foreign_keys: bool) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("nasmith_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
