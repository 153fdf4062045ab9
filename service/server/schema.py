"""The schema of a database that is not of this version, made by a fork while the server imports
what it needs itself: Alembic alone takes a tenth of the start, and a core is free meanwhile.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.processes.bootstrap import end_with
from service.sql.database import create_engine, is_migrated, migrate


@contextmanager
def migrated_meanwhile(url: str) -> Iterator[None]:
    """The database has this version's schema after the block. Where the fork could not do it,
    this process tries again, and says why it cannot. It has no threads yet.
    """
    if sys.platform != "linux":  # elsewhere, a system's own libraries may have threads
        migrate(url)
        yield
        return
    if _is_current(url):
        yield
        return
    fork = _forked(url)
    try:
        yield
    except BaseException:
        os.kill(fork, signal.SIGKILL)
        raise
    finally:
        has_failed = os.waitpid(fork, 0)[1] != 0
    if has_failed:
        migrate(url)


def _is_current(url: str) -> bool:
    engine = create_engine(url)
    try:
        if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
            return False
        with engine.connect() as connection:
            return is_migrated(connection)
    finally:
        engine.dispose()


def _forked(url: str) -> int:
    """A fork that migrates, ends with this process, and exits with 0 where all went well."""
    parent, fork = os.getpid(), os.fork()
    if fork:
        return fork
    try:
        end_with(parent, signal.SIGKILL)
        migrate(url)
    except BaseException:  # it happens again to the parent, who tells it
        os._exit(1)
    os._exit(0)
