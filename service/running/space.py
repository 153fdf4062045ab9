"""Room on the disk: searches are paused before there is none, and go on when there is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.settings import ServiceSettings

LOOK_SECONDS = 2.0


class Space:
    """Of the folders that a service of these settings writes to."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._folders = tuple(dict.fromkeys(_folders(settings)))
        self._reserve = settings.disk_reserve_bytes
        self._next, self._found = 0.0, ""

    def shortage(self) -> str | None:
        """What is missing, in words that stay as long as it is; None: nothing. Looks seldom."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_SECONDS
            self._found = self._look()
        return self._found or None

    def _look(self) -> str:
        for folder in self._folders:
            with suppress(OSError):  # not there yet
                if shutil.disk_usage(folder).free < self._reserve:
                    return f"space: {folder} has less than {self._reserve / 2**20:,.0f} MiB free"
        return ""


def _folders(settings: ServiceSettings) -> Iterator[Path]:
    yield settings.home
    if settings.database_file is not None:
        yield settings.database_file.parent
    protocol, _, path = settings.store_url.rpartition("://")
    if protocol in ("", "file"):
        yield Path(path)
