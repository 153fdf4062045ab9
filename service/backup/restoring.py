"""`nasmith restore`: a service from a backup, in an empty home."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from service.backup.archive import DATABASE, STORE, ArchiveReader, BackupError, Contents
from service.backup.snapshot import put_back, refuse_occupied
from service.home import own_home
from service.settings import ServiceSettings
from service.sql.database import connect, migrate
from service.store.holds import held
from service.store.store import Store


def restore_backup(settings: ServiceSettings, file: Path) -> Contents:
    """Every byte is checked before anything is written; files come before the rows that name them,
    and all rows in one transaction: what broke off may be started again.

    Raises:
        BackupError: the backup is not whole, or the database is not empty.
    """
    archive = ArchiveReader(file)
    if DATABASE not in archive.contents.files:
        raise BackupError(f"{file} has no {DATABASE}")
    own_home(settings.home)
    migrate(settings.database_url)
    sessions, store = connect(settings.database_url, connections=2), Store(settings.store_url)
    try:
        with sessions.read() as session:
            refuse_occupied(session.connection())
        with (
            held(store),
            tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.home) as folder,
        ):
            database, copied = Path(folder, DATABASE), Path(folder, "file")
            for member in archive.members():
                path = database if member.name == DATABASE else copied
                with path.open("wb") as output:
                    shutil.copyfileobj(member.content, output)
                if path is copied:
                    store.write(member.name.removeprefix(STORE), path)
            put_back(database, sessions)
    finally:
        sessions.engine.dispose()
    return archive.contents
