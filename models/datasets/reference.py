"""Where a dataset is: what travels to workers instead of the data."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from models.datasets import Dataset, datasets
from models.datasets.stored import Content, load
from models.processes.folders import sweep, temporary_folder
from models.storage import sha256_of_file


class DamagedDatasetError(RuntimeError):
    """A stored file is missing, or not what was stored."""


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A file that `models.datasets.stored` wrote, by its content.

    `url` is a path or an fsspec URL. A local file is mapped where it lies; another one is fetched
    once a machine, into the cache.
    """

    url: str
    sha256: str

    def load(self) -> Content:
        """
        Raises:
            DamagedDatasetError: there is no such file, or its content has another SHA-256.
        """
        filesystem, path = url_to_fs(self.url)
        if isinstance(filesystem, LocalFileSystem):
            file = Path(path)
            self._check(file)
            return load(file)
        file = cache_folder() / f"{self.sha256}.safetensors"
        try:
            self._check(file)
        except DamagedDatasetError:
            self._fetch(filesystem, path, file)
        return load(file)

    def _fetch(self, filesystem: AbstractFileSystem, path: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        sweep(file.parent)
        with temporary_folder("fetch", file.parent) as folder:
            part = folder / "part"
            try:
                with filesystem.open(path, "rb") as source, part.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                self._check(part)
                part.replace(file)
            except OSError as error:
                raise DamagedDatasetError(f"{self.url} cannot be fetched: {error}") from error

    def _check(self, file: Path) -> None:
        try:
            found = sha256_of_file(file)
        except OSError as error:
            raise DamagedDatasetError(f"{self.url} cannot be read: {error}") from error
        if found != self.sha256:
            raise DamagedDatasetError(
                f"{self.url} has the SHA-256 {found}, stored was {self.sha256}"
            )


DatasetReference = str | StoredDataset
"""A name of the registry, or a stored file."""


def load_content(reference: DatasetReference) -> Content:
    """What the reference names.

    Raises:
        models.registry.UnknownNameError: there is no such dataset.
        DamagedDatasetError: the stored file is not what was stored.
    """
    return datasets[reference].load() if isinstance(reference, str) else reference.load()


@cache
def load_dataset(reference: DatasetReference) -> Dataset:
    """Data to train on, loaded once a process.

    Raises:
        TypeError: it is a table of known results.
    """
    content = load_content(reference)
    if not isinstance(content, Dataset):
        raise TypeError(f"{content.name} is a table of known results, there is nothing to train")
    return content


def cache_folder() -> Path:
    """Files that can be fetched again: `cache` in `NASMITH_HOME`, by default `~/.nasmith`."""
    home = os.environ.get("NASMITH_HOME") or "~/.nasmith"
    return Path(home).expanduser() / "cache" / "datasets"
