"""A folder for a download, which belongs to the process that makes it. What a killed one left is
removed by the next download beside it.

The owner holds a lock, which the operating system frees with its end: on the folder; on Windows, a
file in it that is open, which nobody else can remove.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX, _SUFFIX = ".nasmith-", ".tmp"
_NAME = re.compile(r"\.nasmith-[a-z0-9_]{8}\.tmp")
_LOCK = "lock"
_REPLACED = "replaced"


@contextlib.contextmanager
def owned_folder(beside: Path) -> Iterator[Path]:
    """A new folder in the same one as `beside`, for the length of the block."""
    _sweep(beside.parent)
    path, lock = _make(beside.parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
        if sys.platform == "win32":
            shutil.rmtree(path, ignore_errors=True)  # only now the lock lets it go


def put_aside(directory: Path, folder: Path) -> None:
    """Into an owned folder, until what replaces it is there: a sweep that finds it without, puts it
    back.
    """
    aside = folder / _REPLACED
    aside.mkdir()
    os.replace(directory, aside / directory.name)


def _make(within: Path) -> tuple[Path, int]:
    """The folder and its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=within))
        if sys.platform == "win32":
            return path, os.open(path / _LOCK, os.O_CREAT | os.O_RDWR)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():  # else a sweep came between the two
                return path, lock
            os.close(lock)


def _sweep(within: Path) -> None:
    """Remove the folders whose owners have ended; those of other users stay."""
    for path in within.glob(f"{_PREFIX}*{_SUFFIX}"):
        if _NAME.fullmatch(path.name) is None or path.is_symlink():
            continue
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                (path / _LOCK).unlink()
                _clear(path)
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _clear(path)
            finally:
                os.close(lock)


def _clear(path: Path) -> None:
    aside = path / _REPLACED
    for replaced in aside.iterdir() if aside.is_dir() else ():
        if not (path.parent / replaced.name).exists():
            os.replace(replaced, path.parent / replaced.name)
    shutil.rmtree(path, ignore_errors=True)
