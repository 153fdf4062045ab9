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
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [(path, path.relative_to(folder)) for path in paths]
    kept = [(path, name) for path, name in named if not any(map(_is_left_out, name.parts))]
    if not kept:
        raise FileNotFoundError(f"{folder} has no file in it")
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for path, name in kept:
                archive.write(path, name.as_posix())
        file.seek(0)
        yield file


def _is_left_out(part: str) -> bool:
    return part.startswith(".") or part in _OF_THE_SYSTEM
