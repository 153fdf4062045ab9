"""A folder as the zip that a server reads: the server never looks into folders."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_OF_THE_SYSTEM = frozenset({"Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX"})


@contextlib.contextmanager
def zipped(folder: Path) -> Iterator[BinaryIO]:
    """The files of a folder and of the folders in it, without hidden ones and what an operating
    system leaves there; a file without a name, which goes with the block.

    Raises:
        FileNotFoundError: there is no file.
    """
    kept = [name for name in _files(folder) if not _is_left_out(name)]
    if not kept:
        raise FileNotFoundError(f"{folder} has no file in it")
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for name in kept:
                archive.write(folder / name, name.as_posix())
        file.seek(0)
        yield file


def left_out(folder: Path) -> list[str]:
    """The files that `zipped` does not take."""
    return [name.as_posix() for name in _files(folder) if _is_left_out(name)]


def _files(folder: Path) -> list[Path]:
    """Of the folder and of those in it, by their paths from it."""
    paths = sorted(folder.rglob("*"))
    return [path.relative_to(folder) for path in paths if path.is_file()]


def _is_left_out(name: Path) -> bool:
    return any(part.startswith(".") or part in _OF_THE_SYSTEM for part in name.parts)
