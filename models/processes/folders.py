"""Temporary folders that belong to a process. It removes them; what it left because it was killed,
the next `sweep` does.

The owner holds a lock on the folder, which the operating system frees with its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

_NAME = re.compile(r"nasmith-[a-z]+-[a-z0-9_]{8}\.tmp")


class OwnedFolder:
    """Made on construction, for this user alone, in `within` or where the system keeps temporary
    files. `lock`: a descriptor that holds it for a child, too, if it is passed on.
    """

    def __init__(self, purpose: str, within: Path | None = None) -> None:
        while True:
            name = tempfile.mkdtemp(prefix=f"nasmith-{purpose}-", suffix=".tmp", dir=within)
            self.path = Path(name).absolute()
            with contextlib.suppress(FileNotFoundError):
                self.lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(self.lock, fcntl.LOCK_EX)
                if self.path.exists():  # else a sweep came between the two
                    return
                os.close(self.lock)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


class WorkFolder(OwnedFolder):
    """Stands for the system's temporary folder, in this process and in what it starts, until it is
    removed with all that was left in it. One at a time.
    """

    _outside: ClassVar[str | None] = None

    def __init__(self, purpose: str) -> None:
        super().__init__(purpose)
        self._variable = os.environ.get("TMPDIR")
        WorkFolder._outside = tempfile.gettempdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.path)

    def remove(self) -> None:
        tempfile.tempdir, WorkFolder._outside = WorkFolder._outside, None
        if self._variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = self._variable
        super().remove()

    @classmethod
    def outside(cls) -> Path:
        """The temporary folder of the system, which processes share."""
        return Path(cls._outside or tempfile.gettempdir())


@contextlib.contextmanager
def temporary_folder(purpose: str, within: Path | None = None) -> Iterator[Path]:
    """A folder for the length of the block; `purpose` is a word of its name."""
    folder = OwnedFolder(purpose, within)
    try:
        yield folder.path
    finally:
        folder.remove()


def sweep(within: Path | None = None) -> None:
    """Remove the folders whose owners have ended; those of other users stay."""
    for path in (within or WorkFolder.outside()).glob("nasmith-*.tmp"):
        if _NAME.fullmatch(path.name) is None:
            continue
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
