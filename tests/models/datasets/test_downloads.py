"""Datasets that are fetched on first use: from a server of this test, never from afar."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
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
from scipy.sparse import csr_matrix

from models.datasets import UnavailableDatasetError, datasets
from models.datasets.citations import PARTS, planetoid, unpickled
from models.datasets.downloads import Download, RemoteFile, cifar
from models.graph import Features
from models.graph_samples import Nodes

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
    monkeypatch.setenv("NASMITH_HOME", str(tmp_path / "home"))
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


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary",)


def test_files_of_citations_are_arrays_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system is no part of a graph"):
        unpickled(pickle.dumps(_Evil()))
    assert not list(tmp_path.iterdir())


def old(value: Any) -> bytes:
    """A pickle as NumPy and SciPy wrote it in 2016: their modules had other names."""
    content = pickle.dumps(value, protocol=2)
    content = content.replace(b"cscipy.sparse._csr\n", b"cscipy.sparse.csr\n")
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def test_citations_are_put_together_by_the_index_of_the_test_nodes() -> None:
    """Nodes 0 to 3 come first, two of them to train by; the test nodes are 6 and 4, in the order of
    their file; node 5 is missing, and has no words.
    """
    words = csr_matrix(np.eye(6, 8, dtype=np.float32))
    classes = np.eye(3, dtype=np.int32)[[0, 1, 2, 0, 1, 2]]
    parts = [words[4:], words[:4], classes[:2], classes[4:], classes[:4]]
    links = {0: [1, 0, 1], 4: [2], 6: [3]}
    found = planetoid("tiny", [*map(old, parts), old(links), b"6\n4\n"])
    assert isinstance(found.train.x, Nodes) and isinstance(found.train.x.x, Features)
    expected = torch.eye(6, 8)[[0, 1, 2, 3, 5, 0, 4]]
    expected[5] = 0
    assert torch.equal(found.train.x.x.times(torch.eye(8)), expected)
    assert found.train.x.picked.tolist() == [0, 1]
    assert found.test.x[:].picked.tolist() == [4, 6] and found.test.y.tolist() == [2, 1]
    edges = found.train.x.links
    pairs = {(int(a), int(b)) for a, b in zip(edges.rows, edges.columns, strict=True) if a < b}
    assert pairs == {(0, 1), (2, 4), (3, 6)}


def test_the_citation_graphs_are_known_by_name_and_by_git_id() -> None:
    for name in ("cora", "citeseer", "pubmed"):
        known = datasets[name]
        assert isinstance(known, Download) and known.task_name == "node_classification"
        assert [file.url.partition(f"ind.{name}.")[2] for file in known.files] == list(PARTS)
    content = b"what is up, doc?"  # the example of the book "Pro Git", section 10.2
    digest = "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    assert RemoteFile("", digest, "git id").digest_of(content) == digest
