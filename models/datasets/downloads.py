"""Datasets known by name that are fetched on first use, each file held to its published sum.

They are read once and kept in the cache as workers map them (`models.datasets.stored`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, UnavailableDatasetError, datasets, images
from models.datasets.reference import cache_folder
from models.datasets.stored import load, save
from models.processes.folders import sweep, temporary_folder

SECONDS = 30.0
"""Without a byte, after which a server counts as away."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """`digest`: as its authors publish it, MD5 or the id that git gives to a file. It finds a torn
    or changed file, and guards no secret.
    """

    url: str
    digest: str
    kind: Literal["MD5", "git id"] = "MD5"

    def digest_of(self, content: bytes) -> str:
        if self.kind == "MD5":
            return hashlib.md5(content, usedforsecurity=False).hexdigest()
        header = f"blob {len(content)}\0".encode()
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Download:
    """A source of the registry. `read` turns its name and the files, in their order, into the
    dataset; `arrays` are those of an upload in its place.
    """

    name: str
    description: str
    files: Sequence[RemoteFile]
    read: Callable[[str, Sequence[bytes]], Dataset]
    task_name: str = "image_classification"
    arrays: str = "x_train, y_train, x_test and y_test"

    def load(self) -> Dataset:
        """
        Raises:
            UnavailableDatasetError: it is not here, and its server cannot be reached.
        """
        key = hashlib.sha256("".join(file.digest for file in self.files).encode()).hexdigest()
        path = cache_folder() / f"{self.name}-{key[:16]}.safetensors"
        if not path.exists():
            dataset = self.read(self.name, [self._fetched(file) for file in self.files])
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep(path.parent)
            with temporary_folder("download", path.parent) as folder:
                save(dataset, folder / "whole")
                (folder / "whole").replace(path)
        found = load(path)
        assert isinstance(found, Dataset)  # noqa: S101 - as it was saved
        return found

    def _fetched(self, file: RemoteFile) -> bytes:
        buffer = io.BytesIO()
        try:
            with urllib.request.urlopen(file.url, timeout=SECONDS) as response:  # noqa: S310 - ours
                shutil.copyfileobj(response, buffer)
        except (OSError, urllib.error.URLError) as error:
            raise UnavailableDatasetError(
                f"{self.name} is downloaded on first use, and {file.url} cannot be reached: "
                f"{getattr(error, 'reason', error)}. Upload it under another name instead: "
                f"nasmith datasets add FILE.npz --task {self.task_name}, with {self.arrays}"
            ) from None
        content = buffer.getvalue()
        found = file.digest_of(content)
        if found != file.digest:
            raise UnavailableDatasetError(
                f"{self.name}: {file.url} has the {file.kind} {found}, its authors published "
                f"{file.digest}"
            )
        return content


def idx(content: bytes) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format of LeCun et al., compressed by gzip."""
    raw = gzip.decompress(content)
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4).tolist()
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _idx_images(name: str, files: Sequence[bytes]) -> Dataset:
    x, y, x_test, y_test = map(idx, files)
    return images.from_arrays(name, x, y, x_test, y_test, validation=1 / 6)


def _cifar_images(name: str, files: Sequence[bytes]) -> Dataset:
    return images.from_arrays(name, *cifar(files), validation=1 / 6)


def cifar(files: Sequence[bytes]) -> Arrays:
    """The binary version: rows of a label and 3 x 32 x 32 pixels, in six files of a tar."""
    with tarfile.open(fileobj=io.BytesIO(files[0])) as archive:
        parts: dict[str, Any] = {}
        for member in archive:
            name = Path(member.name).name
            stream = archive.extractfile(member) if name.endswith(".bin") else None
            if stream is not None:
                parts[name] = np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073)
    test = parts.pop("test_batch.bin")
    train = np.concatenate([parts[name] for name in sorted(parts)])
    x, x_test = (
        np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        for rows in (train, test)
    )
    return x, train[:, 0], x_test, test[:, 0]


def _idx_names(folder: str, sums: Sequence[str]) -> list[RemoteFile]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return [
        RemoteFile(f"{folder}/{name}-ubyte.gz", md5) for name, md5 in zip(names, sums, strict=True)
    ]


for _source in (
    Download(
        "mnist",
        "70,000 handwritten digits of 28x28 pixels, 10 classes; downloaded on first use",
        _idx_names(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
        _idx_images,
    ),
    Download(
        "fashion_mnist",
        "70,000 pieces of clothing of 28x28 pixels, 10 classes; downloaded on first use",
        _idx_names(
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        _idx_images,
    ),
    Download(
        "cifar10",
        "60,000 colour images of 32x32 pixels, 10 classes; downloaded on first use",
        [
            RemoteFile(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
            )
        ],
        _cifar_images,
    ),
):
    datasets.register(_source.name)(_source)
