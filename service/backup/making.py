"""`nasmith backup`: the database as it was at one moment, and the files that it names."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, func, select

from service.backup.archive import DATABASE, STORE, ArchiveWriter, Contents
from service.backup.snapshot import take_snapshot
from service.settings import ServiceSettings
from service.sql.database import Sessions, connect
from service.sql.states import ENDED
from service.sql.tables import Artifact, Dataset, Search
from service.store.holds import held
from service.store.layout import CHECKPOINTS
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class BackupReport:
    """`missing`: paths of files that rows name and that were not in the store, before the backup
    either.
    """

    size_bytes: int
    searches: int
    files: int
    missing: list[str]


def make_backup(settings: ServiceSettings, file: Path) -> BackupReport:
    """Write all that a service has to `file`, while it goes on. What is deleted before its file was
    copied is not in the backup; weights that unfinished searches have left are.

    Raises:
        BackupError: the file is there already, or the database has another schema.
    """
    store = Store(settings.store_url)
    with (
        _connected(settings.database_url) as sessions,
        ArchiveWriter(file) as archive,
        tempfile.TemporaryDirectory(prefix=".nasmith-", dir=file.absolute().parent) as folder,
        held(store),
    ):
        snapshot = Path(folder, DATABASE)
        take_snapshot(sessions.engine, snapshot)
        with _connected(f"sqlite:///{snapshot}") as copy:
            gone = [path for path in _named(copy) if not _added(archive, store, path)]
            missing = sorted(_rows_of(sessions) & set(gone))
            _forget(copy, set(gone) - set(missing))
            for search_id in _unfinished(copy):
                for path in store.files_under(f"{CHECKPOINTS}/{search_id}"):
                    _added(archive, store, path)
            with copy.read() as session:
                searches = session.scalar(select(func.count()).select_from(Search)) or 0
        with snapshot.open("rb") as content:
            archive.add(DATABASE, content)
        files = len(archive.files) - 1
        archive.finish(
            Contents(
                nasmith=importlib.metadata.version("nasmith-server"),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                files=dict(archive.files),
                missing=missing,
            )
        )
        return BackupReport(archive.size_bytes, searches, files, missing)


@contextmanager
def _connected(url: str) -> Iterator[Sessions]:
    sessions = connect(url, connections=2)
    try:
        yield sessions
    finally:
        sessions.engine.dispose()


def _named(sessions: Sessions) -> set[str]:
    """Paths that rows name."""
    with sessions.read() as session:
        artifacts = select(Artifact.path).where(Artifact.removed_at.is_(None))
        return {*session.scalars(artifacts), *session.scalars(select(Dataset.path))}


def _rows_of(sessions: Sessions) -> set[str]:
    """The same of the service itself, whose schema may be an older one."""
    with sessions.read() as session:
        return {*session.scalars(select(Artifact.path)), *session.scalars(select(Dataset.path))}


def _added(archive: ArchiveWriter, store: Store, path: str) -> bool:
    """Whether the file was there."""
    with suppress(FileNotFoundError), store.open_file(path) as content:
        archive.add(f"{STORE}{path}", content)
        return True
    return False


def _unfinished(sessions: Sessions) -> list[str]:
    with sessions.read() as session:
        query = select(Search.id).where(Search.state.not_in(ENDED), Search.started_at.is_not(None))
        return list(session.scalars(query))


def _forget(sessions: Sessions, paths: Collection[str]) -> None:
    """Searches and datasets that somebody has deleted since, with their files."""
    with sessions.begin() as session:
        owners = select(Artifact.search_id).where(Artifact.path.in_(paths))
        session.execute(delete(Search).where(Search.id.in_(owners)))
        session.execute(delete(Dataset).where(Dataset.path.in_(paths)))
