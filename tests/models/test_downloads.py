"""Datasets that are fetched on first use: from a server of this test, never from afar."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.datasets import UnavailableDatasetError, datasets
from models.datasets.downloads import Download, RemoteFile, cifar

X = np.random.default_rng(0).integers(0, 256, (40, 5, 4), np.uint8)
Y = (np.arange(40) % 2).astype(np.uint8)


def idx_file(array: NDArray[np.uint8]) -> bytes:
    """As http://yann.lecun.com/exdb/mnist describes it: 0, 0, type 8, dimensions, sizes, values."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Download]:
    monkeypatch.setenv("NETSMITH_HOME", str(tmp_path / "home"))
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    files = []
    for name, array in (("x", X[:30]), ("y", Y[:30]), ("x_test", X[30:]), ("y_test", Y[30:])):
        content = idx_file(array)
        (served / name).write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        files.append(RemoteFile(f"http://127.0.0.1:{server.server_address[1]}/{name}", md5))
    known = datasets["mnist"]
    assert isinstance(known, Download)
    yield replace(known, name="small", files=files)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_dataset_is_fetched_once(source: Download, tmp_path: Path) -> None:
    first = source.load()
    assert first.sizes == {"train": 25, "validation": 5, "test": 10}
    assert torch.equal(first.raw_test.x, torch.from_numpy(X[30:]))
    for file in (tmp_path / "served").iterdir():
        file.unlink()
    assert source.load().fingerprint == first.fingerprint


def test_without_its_server_the_answer_is_to_upload(source: Download, tmp_path: Path) -> None:
    (tmp_path / "served" / "y").unlink()
    with pytest.raises(UnavailableDatasetError, match=r"cannot be reached: .*datasets add FILE"):
        source.load()
    (tmp_path / "served" / "y").write_bytes(b"another file")
    with pytest.raises(UnavailableDatasetError, match="its authors published"):
        source.load()
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_cifar_is_labels_and_planes_of_colour() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (3, 3073), np.uint8)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, row in zip(("data_batch_1", "data_batch_2", "test_batch"), rows, strict=True):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            entry.size = row.size
            archive.addfile(entry, io.BytesIO(row.tobytes()))
    x, y, x_test, y_test = cifar([buffer.getvalue()])
    assert y.tolist() == rows[:2, 0].tolist() and y_test.tolist() == [rows[2, 0]]
    assert x.shape == (2, 32, 32, 3) and x[1, 4, 7].tolist() == [
        rows[1, 1 + plane * 1024 + 4 * 32 + 7] for plane in range(3)
    ]
    assert x_test.shape == (1, 32, 32, 3)
