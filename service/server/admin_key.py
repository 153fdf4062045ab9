"""The first key: random, written where the owner of the home alone can read it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from service.settings import ServiceSettings
from service.sql.api_keys import Scope, add_key, has_operator, new_key
from service.sql.database import DEFAULT_TENANT, connect
from service.sql.usage import lock_tenant

NAME = "of the home"

log = logging.getLogger(__name__)


def write_admin_key(settings: ServiceSettings, *, is_lost: bool = False) -> Path | None:
    """Make a key that opens everything, where no valid one does: at the first start with keys, and
    after all were revoked; or where it `is_lost`. The file that it is in, or None where nothing was
    made.

    It is on the disk before it opens anything; of servers that start at once, one makes it.
    """
    sessions = connect(settings.database_url, connections=1)
    try:
        with sessions.begin() as session:
            lock_tenant(session, DEFAULT_TENANT)
            if has_operator(session) and not is_lost:
                return None
            key = new_key()
            file = _written(settings.admin_key, key)
            add_key(session, DEFAULT_TENANT, key, NAME, [Scope.ADMIN])
    finally:
        sessions.engine.dispose()
    log.warning("a key of an admin was written to %s", file)
    return file


def _written(file: Path, key: str) -> Path:
    """Whole or not at all, and never readable by others, not even for a moment."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(f"{key}\n")
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    return file
