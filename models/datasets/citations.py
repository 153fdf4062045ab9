"""Cora, CiteSeer and PubMed in the public split of Planetoid, fetched on first use.

Yang et al., ICML 2016, https://arxiv.org/abs/1603.08861. The authors' files are pickles: each is
held to its published sum before it is opened, and an unpickler that knows arrays, sparse matrices
and dictionaries alone reads them, so that no other code runs.
"""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.datasets import Dataset, datasets
from models.datasets.downloads import Download, RemoteFile
from models.datasets.graphs import of_nodes

FOLDER = "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data"
PARTS = ("tx", "allx", "y", "ty", "ally", "graph", "test.index")
VALIDATION = 500


class _Matrix:
    """Takes the state of a `csr_matrix` that an old SciPy pickled."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        parts = (state["data"], state["indices"], state["indptr"])
        self.rows = csr_matrix(parts, shape=state["_shape"])


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_KNOWN = {
    # NumPy types no private name; its pickles use this one
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a graph")
        return _KNOWN[module, name]


def unpickled(content: bytes) -> Any:
    """
    Raises:
        pickle.UnpicklingError: it holds something else than arrays, matrices and dictionaries.
    """
    return _Unpickler(io.BytesIO(content), encoding="latin1").load()


def planetoid(name: str, files: Sequence[bytes]) -> Dataset:
    """The files in the order of `PARTS`, as Kipf and Welling's code puts them together: test nodes
    come last, in the order of `test.index`; those of CiteSeer that are missing have no words.
    """
    tx, allx, y, ty, ally, links = map(unpickled, files[:-1])
    tx, allx = tx.rows, allx.rows
    test = np.array(files[-1].split(), dtype=np.int64)
    nodes = int(test.max()) + 1
    first = allx.shape[0]
    rows, labels = np.full(nodes, -1), np.zeros(nodes, np.int64)
    rows[:first], rows[test] = np.arange(first), first + np.arange(len(test))
    words = vstack([allx, tx, csr_matrix((1, allx.shape[1]))], format="csr")[rows]
    words.sort_indices()
    labels[:first], labels[test] = ally.argmax(1), ty.argmax(1)
    source, target = (
        np.array(ends, np.int64)
        for ends in zip(*((a, b) for a, known in links.items() for b in known), strict=True)
    )
    edges = np.unique(np.hstack([[source, target], [target, source]]), axis=1)
    masks = {mask: np.zeros(nodes, np.bool_) for mask in ("train_mask", "val_mask", "test_mask")}
    masks["train_mask"][: len(y)] = True
    masks["val_mask"][len(y) : min(len(y) + VALIDATION, first)] = True
    masks["test_mask"][test] = True
    arrays: dict[str, NDArray[Any]] = {
        "x_data": words.data.astype(np.float32),
        "x_indices": words.indices,
        "x_indptr": words.indptr,
        "x_shape": np.array(words.shape),
        "edge_index": edges[:, edges[0] != edges[1]],
        "y": labels,
        **masks,
    }
    return of_nodes(name, arrays)


_IDS = {
    "cora": (
        "6e856d777401ee15dc8619db76c97d0a40ba2d60",
        "44d53b1fece343538e45592caac521d73c6f98d6",
        "58e30ef120d3553cfaac33ff28c6b5436dbef661",
        "da1734ab670b5c8ecee78a9c30b35566df916f4b",
        "04fbd0b083d09341fcf16b395c642329637f0542",
        "4d3bf85dfc8b1c105a2c995597a1b3eed6947925",
        "ded8092db4cd767a367eebe09003b954a5316f24",
    ),
    "citeseer": (
        "b2aff18aa1fc6f4f5e8c64db7643b59b24e42584",
        "592091071ac35b78599c722d0e60b1c655711728",
        "e857ac49b611da98e101a068cf4855350274f68a",
        "3795f79df0cd1123f4478b77c148a5fbacc4cefb",
        "7503f81a0b6ac1cc21cb5a97073542a6b1dfe99c",
        "a01dca663d0103c130f525017a4a9c313037e286",
        "62d9e3d5ed53c66b069125af98529d76c70d9b3e",
    ),
    "pubmed": (
        "eee4f3c988fde0da87a9ec7b01ca5e7863c1b1f1",
        "3b86bccf08111c37c632a9dd8ab63db25ea76361",
        "e86670576c85340eeb2271b3c918bfa89322b2cf",
        "225a0bb9bb6430e3925d04688daf6a0da964c07a",
        "4c8bcdc80882dd225fe4dd4fafd723baa616ac97",
        "76eb87e628a6b9d43fc31ea42c8c6c8f3e52b404",
        "41f6befcb7750cc4858cb852f2b349a9598cb2f4",
    ),
}
_DESCRIPTIONS = {
    "cora": "2,708 papers on machine learning, their words and citations, 7 classes",
    "citeseer": "3,327 papers on computer science, their words and citations, 6 classes",
    "pubmed": "19,717 papers on diabetes, their words and citations, 3 classes",
}
for _name, _description in _DESCRIPTIONS.items():
    _files = [
        RemoteFile(f"{FOLDER}/ind.{_name}.{part}", digest, "git id")
        for part, digest in zip(PARTS, _IDS[_name], strict=True)
    ]
    datasets.register(_name)(
        Download(
            _name,
            f"{_description}; downloaded on first use",
            _files,
            planetoid,
            "node_classification",
            "x, edge_index, y, train_mask, val_mask and test_mask",
        )
    )
