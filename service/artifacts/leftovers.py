"""Files in the store that nobody needs any more."""

from __future__ import annotations

import logging

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from sqlalchemy import select

from service.database import Sessions
from service.searches.states import ENDED
from service.tables import Artifact, Search

log = logging.getLogger(__name__)

CHECKPOINTS, ARTIFACTS = "checkpoints", "artifacts"


def checkpoints_url(store_url: str, search_id: str) -> str:
    """The folder in which final trials leave their weights until they are published."""
    return f"{store_url.rstrip('/')}/{CHECKPOINTS}/{search_id}"


class Leftovers:
    """A search's checkpoints go when it has ended, and so do bundles that a crash left without a
    row. What cannot be removed now is logged and left: it costs space alone.
    """

    def __init__(self, sessions: Sessions, store_url: str) -> None:
        self._sessions = sessions
        self._files: AbstractFileSystem
        self._files, root = url_to_fs(store_url)
        self._root = root.rstrip("/")

    def remove(self, search_id: str) -> None:
        """Of one search, if it has ended."""
        with self._sessions.read() as session:
            state = session.scalar(select(Search.state).where(Search.id == search_id))
            if state is not None and state not in ENDED:
                return
            paths = session.scalars(select(Artifact.path).where(Artifact.search_id == search_id))
            kept = {f"{self._root}/{path}" for path in paths}
        try:
            self._remove_folder(f"{self._root}/{CHECKPOINTS}/{search_id}")
            for path in self._list(f"{self._root}/{ARTIFACTS}/{search_id}"):
                if path not in kept:
                    self._files.rm_file(path)
        except OSError as error:
            log.warning("files of %s were left behind: %s", search_id, error)

    def remove_all(self) -> None:
        """Of all searches that have ended; of those, too, that were deleted."""
        for path in self._list(f"{self._root}/{CHECKPOINTS}"):
            self.remove(path.rstrip("/").rpartition("/")[2])

    def _remove_folder(self, path: str) -> None:
        if self._files.exists(path):
            self._files.rm(path, recursive=True)

    def _list(self, path: str) -> list[str]:
        try:
            return [str(entry) for entry in self._files.ls(path, detail=False)]
        except FileNotFoundError:
            return []
