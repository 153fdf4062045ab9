"""Files in the store that nobody needs any more."""

from __future__ import annotations

import logging

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from sqlalchemy import select

from service.identifiers import age_seconds
from service.sql.database import Sessions
from service.sql.states import ENDED
from service.sql.tables import Artifact, Dataset, Search, Upload
from service.store.holds import is_held
from service.store.layout import ARTIFACTS, CHECKPOINTS, DATASETS
from service.store.store import Store

log = logging.getLogger(__name__)

UPLOAD_SECONDS = 3600.0
"""Between the file of an upload and its row, at most."""


class Leftovers:
    """A search's checkpoints go when it has ended, and so do bundles that a crash left without a
    row. What cannot be removed now is logged and left: it costs space alone.
    """

    def __init__(self, sessions: Sessions, store_url: str) -> None:
        self._sessions = sessions
        self._files: AbstractFileSystem
        self._files, root = url_to_fs(store_url)
        self._root = root.rstrip("/")
        self._datasets = f"{self._root}/{DATASETS}"
        self._store = Store(store_url)

    def remove(self, search_id: str) -> bool:
        """Of one search, if it has ended. False: not now, because a backup is made."""
        with self._sessions.read() as session:
            state = session.scalar(select(Search.state).where(Search.id == search_id))
            if state is not None and state not in ENDED:
                return True
            published = Artifact.search_id == search_id, Artifact.removed_at.is_(None)
            paths = session.scalars(select(Artifact.path).where(*published))
            kept = {f"{self._root}/{path}" for path in paths}
        try:
            if is_held(self._store):
                return False
            self._remove_folder(f"{self._root}/{CHECKPOINTS}/{search_id}")
            for path in self._list(f"{self._root}/{ARTIFACTS}/{search_id}"):
                if path not in kept:
                    self._files.rm_file(path)
        except OSError as error:
            log.warning("files of %s were left behind: %s", search_id, error)
        return True

    def remove_all(self) -> bool:
        """Of all searches that have ended; of those, too, that were deleted. False: not now."""
        for path in self._list(f"{self._root}/{CHECKPOINTS}"):
            if not self.remove(path.rstrip("/").rpartition("/")[2]):
                return False
        return self._remove_datasets()

    def _remove_datasets(self) -> bool:
        """Of uploads that ended between their file and their row."""
        folders = {path.rstrip("/").rpartition("/")[2]: path for path in self._list(self._datasets)}
        with self._sessions.read() as session:
            kept = {*session.scalars(select(Dataset.id)), *session.scalars(select(Upload.id))}
        if is_held(self._store):
            return False
        for name, path in folders.items():
            if name not in kept and age_seconds(name) > UPLOAD_SECONDS:
                self._remove_folder(path)
        return True

    def _remove_folder(self, path: str) -> None:
        if self._files.exists(path):
            self._files.rm(path, recursive=True)

    def _list(self, path: str) -> list[str]:
        try:
            return [str(entry) for entry in self._files.ls(path, detail=False)]
        except FileNotFoundError:
            return []
