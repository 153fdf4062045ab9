"""Files of no row, and rows of no file: what a crash or a hand left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.identifiers import age_seconds
from service.sql.database import Sessions
from service.sql.states import ENDED
from service.sql.tables import Artifact, Dataset, Search, Upload
from service.store.layout import ARTIFACTS, CHECKPOINTS, DATASETS
from service.store.leftovers import UPLOAD_SECONDS
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class Orphans:
    """`files`: paths that nothing refers to, for an hour at least. `missing`: paths that rows name
    and that are not in the store. `rows`: how many refer to a row that is not there, by table.
    """

    files: list[str]
    missing: list[str]
    rows: dict[str, int]

    def __bool__(self) -> bool:
        return bool(self.files or self.missing or self.rows)


def find_orphans(sessions: Sessions, store: Store) -> Orphans:
    """What is written meanwhile is none: files are listed before the rows are read, and what is
    missing is looked at again.
    """
    files = [path for folder in _FOLDERS for path in store.files_under(folder)]
    with sessions.read() as session:
        named = _named(session)
        needed = _needed(session)
        rows = _broken_rows(session)
    orphans = [path for path in files if path not in named and _is_old(path, needed)]
    missing = [path for path in sorted(named - set(files)) if not store.has(path)]
    return Orphans(orphans, missing, rows)


_FOLDERS = (ARTIFACTS, DATASETS, CHECKPOINTS)


def _named(session: Session) -> set[str]:
    artifacts = select(Artifact.path).where(Artifact.removed_at.is_(None))
    return {*session.scalars(artifacts), *session.scalars(select(Dataset.path))}


def _needed(session: Session) -> set[str]:
    """Whose files may have no row yet: searches that have not ended, or have just, and uploads."""
    lately = datetime.now(UTC) - timedelta(seconds=UPLOAD_SECONDS)
    active = select(Search.id).where(Search.state.not_in(ENDED) | (Search.ended_at > lately))
    return {*session.scalars(active), *session.scalars(select(Upload.id))}


def _is_old(path: str, needed: set[str]) -> bool:
    owner = path.split("/")[1]
    return owner not in needed and age_seconds(owner) > UPLOAD_SECONDS


def _broken_rows(session: Session) -> dict[str, int]:
    """PostgreSQL has none; SQLite may, where another program wrote its file."""
    counts: dict[str, int] = {}
    if session.get_bind().dialect.name == "sqlite":
        for row in session.execute(text("PRAGMA foreign_key_check")):
            counts[row[0]] = counts.get(row[0], 0) + 1
    return counts
