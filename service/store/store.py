"""The artifact store: a folder, or a bucket, behind fsspec."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import structlog
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from models.storage import store_file, write_file

_CHUNK_BYTES = 1024 * 1024
_MEMORY_BYTES = 8 * 1024 * 1024

log = structlog.get_logger("nasmith.store")


class DamagedError(RuntimeError):
    """A file that is missing, or not what was published."""


class MissingError(DamagedError):
    """Somebody has removed it."""


class StoreError(RuntimeError):
    """The store cannot be reached, or not be written."""


class Store:
    """Paths are relative to the store's URL, with forward slashes."""

    def __init__(self, url: str) -> None:
        self._files, root = url_to_fs(url)
        self._root = root.rstrip("/")

    def check(self) -> None:
        """Whether the store is there. A look, no write: it may be asked every few seconds.

        Raises:
            StoreError: it cannot be reached; a local folder: or not be written.
        """
        try:
            if isinstance(self._files, LocalFileSystem):
                folder = _existing(Path(self._root))
                if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
                    raise StoreError(f"{folder} cannot be written")
            else:
                self._files.invalidate_cache()
                self._files.exists(self._root)
        except StoreError:
            raise
        except Exception as error:  # each kind of store raises its own
            raise StoreError(f"{type(error).__name__}: {error}"[:300]) from error

    def probe(self) -> None:
        """Write a file and remove it; into a local folder, if it is there.

        Raises:
            StoreError: that is not possible.
        """
        self.check()
        if isinstance(self._files, LocalFileSystem) and not Path(self._root).exists():
            return
        path = f"{self._root}/probe-{secrets.token_hex(8)}"
        try:
            self._files.pipe_file(path, b"can this be written?")
            self._files.rm_file(path)
        except Exception as error:  # each kind of store raises its own
            raise StoreError(f"{type(error).__name__}: {error}"[:300]) from error

    def read_whole(self, path: str, sha256: str) -> IO[bytes]:
        """The content of a file, every byte of it checked, in memory or a temporary file that the
        caller closes.

        Raises:
            MissingError: there is no such file any more.
            DamagedError: it cannot be read, or its content has another SHA-256.
        """
        copy = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)
        digest = hashlib.sha256()
        try:
            with self._files.open(self._inside(path), "rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
        except FileNotFoundError as error:
            copy.close()
            raise MissingError(f"{path} is not in the store") from error
        except OSError as error:
            copy.close()
            raise DamagedError(f"{path} cannot be read: {error}") from error
        if digest.hexdigest() != sha256:
            copy.close()
            raise DamagedError(f"{path} has the SHA-256 {digest.hexdigest()}, stored is {sha256}")
        copy.seek(0)
        return copy

    def open_file(self, path: str) -> IO[bytes]:
        """
        Raises:
            FileNotFoundError: there is no such file.
        """
        opened: IO[bytes] = self._files.open(self._inside(path), "rb")
        return opened

    def read(self, path: str) -> bytes:
        """A small file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return bytes(self._files.cat_file(self._inside(path)))

    def has(self, path: str) -> bool:
        return bool(self._files.exists(self._inside(path)))

    def write(self, path: str, content: bytes | Path) -> None:
        """A file, whole or not at all; from another one where a path is given."""
        url = self._files.unstrip_protocol(self._inside(path))
        if isinstance(content, Path):
            store_file(url, content)
        else:
            write_file(url, content)

    def files_under(self, folder: str) -> list[str]:
        """The paths of all files in it and below, sorted; none where there is no such folder."""
        self._files.invalidate_cache()
        found = self._files.find(self._inside(folder))
        return sorted(str(path).removeprefix(f"{self._root}/") for path in found)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, and folders with all that is in them, which no row names any more. What is
        missing is done; what cannot be removed now is logged and left.
        """
        for path in paths:
            try:
                self._files.rm(self._inside(path), recursive=True)
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("a file was left behind", path=path, error=str(error))

    def _inside(self, path: str) -> str:
        parts = path.split("/")
        if path.startswith("/") or ".." in parts or "\\" in path:
            raise DamagedError(f"{path!r} lies outside of the store")
        return f"{self._root}/{path}"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
