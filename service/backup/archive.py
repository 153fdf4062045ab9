"""The file of a backup: a tar of `database.db`, a SQLite database whatever the service has, of the
files of the store below `store/`, and, at its end, of `contents.json`, without which it is not
whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

FORMAT = 1
DATABASE, STORE, CONTENTS = "database.db", "store/", "contents.json"

_CHUNK_BYTES = 1024 * 1024


class BackupError(RuntimeError):
    """A backup cannot be made, read or put back; the message says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a backup: the SHA-256 of each file by its name. `missing`: paths of files of the
    store that rows name and that were not there.
    """

    nasmith: str
    created_at: str
    files: dict[str, str]
    missing: list[str] = field(default_factory=list)
    format: int = FORMAT


class ArchiveWriter:
    """Makes `file`, whole or not at all, which its owner alone can read.

    Raises:
        BackupError: it is there already.
    """

    def __init__(self, file: Path) -> None:
        if file.exists():
            raise BackupError(f"{file} is there already; name another one")
        self._file, self._part = file, file.with_name(f".{file.name}.{os.getpid()}.part")
        self._part.unlink(missing_ok=True)
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._output = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._output, mode="w", format=tarfile.PAX_FORMAT)
        self.files: dict[str, str] = {}
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._output.close()
        self._part.unlink(missing_ok=True)

    def add(self, name: str, source: IO[bytes]) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = source.seek(0, os.SEEK_END), int(time.time()), 0o600
        source.seek(0)
        hashed = _Hashed(source)
        self._tar.addfile(entry, hashed)
        self.files[name] = hashed.digest.hexdigest()
        self.size_bytes += entry.size

    def finish(self, contents: Contents) -> None:
        """From now on the file is there."""
        text = json.dumps(asdict(contents), indent=1).encode()
        self.add(CONTENTS, io.BytesIO(text))
        self._tar.close()
        self._output.flush()
        os.fsync(self._output.fileno())
        self._part.replace(self._file)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a backup; `content` until the next one is asked for."""

    name: str
    content: IO[bytes]


class ArchiveReader:
    """A backup of which every byte has been checked.

    Raises:
        BackupError: it is none, damaged, cut off, or made by a later version.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.contents = self._checked()

    def members(self) -> Iterator[Member]:
        """All but the contents, in their order."""
        with self._opened() as tar:
            for name, content in _files_of(tar):
                if name != CONTENTS:
                    yield Member(name, content)

    def _checked(self) -> Contents:
        found: dict[str, str] = {}
        told: Contents | None = None
        with self._opened() as tar:
            for name, content in _files_of(tar):
                if name == CONTENTS:
                    told = _contents(content.read())
                else:
                    found[name] = _sha256_of(content)
        if told is None:
            raise BackupError(f"{self._file} ends before its end: it was cut off")
        if wrong := sorted(found.items() ^ told.files.items()):
            raise BackupError(f"{self._file} is damaged: {wrong[0][0]} is not what was put in")
        return told

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        try:
            with tarfile.open(self._file, "r:") as tar:
                yield tar
        except tarfile.TarError as error:
            raise BackupError(f"{self._file} is no whole backup: {error}") from None


def _files_of(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in tar:
        content = tar.extractfile(entry) if entry.isreg() else None
        if content is None or not _is_ours(entry.name):
            raise BackupError(f"a backup holds no {entry.name!r}")
        yield entry.name, content


def _is_ours(name: str) -> bool:
    if name in (DATABASE, CONTENTS):
        return True
    parts = name.removeprefix(STORE).split("/")
    return name.startswith(STORE) and "\\" not in name and not {"", ".", ".."} & set(parts)


def _contents(text: bytes) -> Contents:
    try:
        told = json.loads(text)
        if told["format"] > FORMAT:
            raise BackupError(
                f"it was made by Nasmith {told['nasmith']} in a form that this version does not "
                "know; restore it with that version"
            )
        return Contents(**told)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"its {CONTENTS} is not what Nasmith writes: {error}") from None


def _sha256_of(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


class _Hashed(io.RawIOBase):
    """Reads on, and hashes what was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data
