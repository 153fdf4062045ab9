"""Whole files in a store: a local folder or whatever fsspec speaks.

A reader sees the old file, the new file or none, never half of one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Where a file lies, and how to know that it is whole."""

    url: str
    sha256: str
    size_bytes: int


def write_file(url: str, content: bytes) -> StoredFile:
    """Write `content` so that it survives a crash of the machine as soon as this returns.

    Locally: a temporary name in the same folder, fsync, rename, fsync of the folder. Remote stores
    put an object whole or not at all.

    `url` is a path or an fsspec URL; missing local folders are made.
    """
    filesystem, path = url_to_fs(url)
    if isinstance(filesystem, LocalFileSystem):
        _replace(Path(path), content)
    else:
        filesystem.pipe_file(path, content)
    return StoredFile(url, hashlib.sha256(content).hexdigest(), len(content))


def store_file(url: str, source: Path) -> StoredFile:
    """As `write_file`, of a file that need not fit into memory."""
    filesystem, path = url_to_fs(url)
    if isinstance(filesystem, LocalFileSystem):
        _replace(Path(path), source)
    else:
        filesystem.put_file(str(source), path)
    return StoredFile(url, sha256_of_file(source), source.stat().st_size)


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(url: str) -> bytes:
    """
    Raises:
        FileNotFoundError: there is no such file.
    """
    filesystem, path = url_to_fs(url)
    return bytes(filesystem.cat_file(path))


def _replace(path: Path, content: bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file, 1024 * 1024)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is on disk only then
    finally:
        os.close(folder)
