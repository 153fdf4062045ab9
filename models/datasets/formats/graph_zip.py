"""A zip of text files in the format of TUDataset: many graphs with a class each.

Morris et al., 2020, https://arxiv.org/abs/2007.08663.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, graphs
from models.datasets.archive import BROKEN, names_in
from models.datasets.formats import MAX_RATIO, MAX_VALUES, FormatError, Upload, formats

MAX_BYTES = 2**30
MAX_LABELS = 4096
MAX_DEGREE = 64
"""From this degree on, nodes without labels and attributes look the same."""


@formats.register("graph_zip")
class GraphZip:
    """`NAME_A.txt`, `NAME_graph_indicator.txt` and `NAME_graph_labels.txt`; a node's features are
    its attributes (`NAME_node_attributes.txt`) and its labels (`NAME_node_labels.txt`), one-hot,
    or its degree, one-hot, where there are neither. Labels and attributes of edges are not used.
    """

    tasks = frozenset({"graph_classification"})
    options: frozenset[str] = frozenset()
    description = "a zip with NAME_A.txt, NAME_graph_indicator.txt and NAME_graph_labels.txt"

    @staticmethod
    def recognises(path: Path) -> bool:
        return any(name.endswith("_graph_indicator.txt") for name in names_in(path))

    @staticmethod
    def read(upload: Upload) -> Dataset:
        return graphs.of_graphs(upload.name, read_arrays(upload.path), **upload.shares)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `models.datasets.graphs.of_graphs`.

    Raises:
        FormatError: a file is missing or damaged; the message names file and line.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(_Files(archive))
    except BROKEN as error:
        raise FormatError(f"the zip cannot be read: {error}") from None


class _Files:
    """The text files of an archive, by the end of their names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._lines: dict[str, list[int]] = {}
        for member in archive.infolist():
            name = PurePosixPath(member.filename).name
            if name.endswith("_A.txt") or "_graph_" in name or "_node_" in name:
                kind = "A" if name.endswith("_A.txt") else "_".join(name[:-4].split("_")[-2:])
                self._members[kind] = member

    def numbers(self, kind: str, columns: int | None) -> NDArray[np.float64] | None:
        """(lines, columns) of the file, or None where there is none."""
        member = self._members.get(kind)
        if member is None:
            return None
        size, packed = member.file_size, member.compress_size
        if size > MAX_BYTES or size > MAX_RATIO * max(packed, 1024):
            raise FormatError(f"{member.filename}: unpacks to {size:,} bytes from {packed:,}")
        rows: list[list[float]] = []
        numbers = self._lines[kind] = []
        with self._archive.open(member) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = [float(value) for value in line.split(b",")]
                except ValueError:
                    shown = line[:50].decode(errors="replace").strip()
                    raise FormatError(
                        f"{member.filename}, line {number}: not numbers with commas, got {shown!r}"
                    ) from None
                if len(row) != (columns or len((rows or [row])[0])):
                    raise FormatError(f"{member.filename}, line {number}: {len(row)} numbers")
                rows.append(row)
                numbers.append(number)
        table = np.array(rows).reshape(len(rows), -1)
        self.refuse(kind, ~np.isfinite(table).all(axis=1), "a number is not finite")
        return table

    def integers(self, kind: str, columns: int) -> NDArray[np.int64]:
        table = self.numbers(kind, columns)
        if table is None or not len(table):
            raise FormatError(f"there is no file NAME_{kind}.txt with a line in the zip")
        whole = (table == np.rint(table)) & (np.abs(table) <= 2**53)
        self.refuse(kind, ~whole.all(axis=1), "a number is no integer")
        return table.astype(np.int64)

    def refuse(self, kind: str, wrong: NDArray[np.bool_], why: str) -> None:
        """
        Raises:
            FormatError: a row of the file is wrong, with the line of the first.
        """
        if wrong.any():
            line = self._lines[kind][int(wrong.argmax())]
            raise FormatError(f"{self._members[kind].filename}, line {line}: {why}")


def _read(files: _Files) -> dict[str, NDArray[Any]]:
    graph_of = files.integers("graph_indicator", 1)[:, 0] - 1
    edges = files.integers("A", 2).T - 1
    labels = files.integers("graph_labels", 1)[:, 0]
    steps = np.diff(graph_of, prepend=-1)
    files.refuse(
        "graph_indicator",
        (steps < 0) | (steps > 1) | (graph_of < 0),
        "graphs are numbered from 1, and the nodes of each are together",
    )
    if graph_of[-1] + 1 != len(labels):
        raise FormatError(
            f"NAME_graph_labels.txt has {len(labels)} lines for {graph_of[-1] + 1} graphs"
        )
    outside = (edges.min(axis=0) < 0) | (edges.max(axis=0) >= len(graph_of))
    files.refuse("A", outside, f"nodes are numbered from 1 to {len(graph_of)}")
    ends = graph_of[edges]
    files.refuse("A", (ends[:1] != ends[1:]).any(axis=0), "leads from one graph to another")
    features: list[NDArray[Any]] = []
    attributes = files.numbers("node_attributes", None)
    if attributes is not None:
        features.append(_of_every_node(attributes, len(graph_of), "attributes"))
    node_labels = files.numbers("node_labels", None)
    if node_labels is not None:
        known = _of_every_node(node_labels, len(graph_of), "labels")
        features += [_one_hot(column) for column in known.T]
    if not features:
        degree = np.bincount(edges[1], minlength=len(graph_of))
        features.append(_one_hot(np.minimum(degree, MAX_DEGREE)))
    x = np.hstack(features).astype(np.float32)
    if x.size > MAX_VALUES:
        raise FormatError(f"at most {MAX_VALUES:,} features in all are allowed, got {x.size:,}")
    return {"x": x, "edge_index": edges, "graph_of": graph_of, "y": labels}


def _of_every_node(table: NDArray[np.float64], nodes: int, what: str) -> NDArray[np.float64]:
    if len(table) != nodes:
        raise FormatError(f"NAME_node_{what}.txt has {len(table)} lines for {nodes} nodes")
    return table


def _one_hot(values: NDArray[Any]) -> NDArray[np.bool_]:
    known = np.unique(values)
    if len(known) > MAX_LABELS:
        raise FormatError(f"at most {MAX_LABELS:,} labels of nodes are allowed, got {len(known):,}")
    return np.asarray(values[:, None] == known)
