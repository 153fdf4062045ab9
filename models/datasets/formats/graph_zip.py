"""A zip of text files in the format of TUDataset: many graphs with a class each.

Morris et al., 2020, https://arxiv.org/abs/2007.08663.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, graphs
from models.datasets.archive import BROKEN, names_in
from models.datasets.edges import degrees
from models.datasets.formats import MAX_RATIO, MAX_VALUES, FormatError, Upload, formats
from models.remarks import Remark

MAX_BYTES = 2**30
MAX_LABELS = 4096
MAX_DEGREE = 64
"""From this degree on, nodes without labels and attributes look the same."""

USED = ("A", "graph_indicator", "graph_labels", "node_attributes", "node_labels")
OF_EDGES = ("edge_attributes", "edge_labels")
"""One attribute an edge is its weight; labels are not used."""


@formats.register("graph_zip")
class GraphZip:
    """`NAME_A.txt`, `NAME_graph_indicator.txt` and `NAME_graph_labels.txt`; a node's features are
    its attributes (`NAME_node_attributes.txt`) and its labels (`NAME_node_labels.txt`), one-hot,
    or its degree, one-hot, where there are neither. One attribute an edge
    (`NAME_edge_attributes.txt`) is its weight; several, and labels, of edges are not used. A graph
    whose label is NaN has no class. Equal graphs are in one split.
    """

    tasks = frozenset({"graph_classification"})
    options = frozenset({"undirected"})
    description = "a zip with NAME_A.txt, NAME_graph_indicator.txt and NAME_graph_labels.txt"

    @staticmethod
    def recognises(path: Path) -> bool:
        return any(name.endswith("_graph_indicator.txt") for name in names_in(path))

    @staticmethod
    def read(upload: Upload) -> Dataset:
        undirected = upload.options.undirected
        arrays, remarks = read_arrays(upload.path, undirected)
        found = graphs.of_graphs(upload.name, arrays, undirected=undirected, **upload.shares)
        return replace(found, remarks=(*remarks, *found.remarks))


def read_arrays(
    path: Path, undirected: bool = False
) -> tuple[dict[str, NDArray[Any]], list[Remark]]:
    """The arrays of `models.datasets.graphs.of_graphs`, and what was not used or made up.

    Raises:
        FormatError: a file is missing or damaged; the message names file and line.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = _Files(archive)
            arrays, remarks = _read(files, undirected)
            return arrays, [*remarks, *files.unused()]
    except BROKEN as error:
        raise FormatError(f"the zip cannot be read: {error}") from None


class _Files:
    """The text files of an archive, by the end of their names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._others: list[str] = []
        self._lines: dict[str, list[int]] = {}
        for member in archive.infolist():
            name = PurePosixPath(member.filename).name
            kind = "A" if name.endswith("_A.txt") else "_".join(name[:-4].split("_")[-2:])
            if kind in (*USED, *OF_EDGES) and name.endswith(".txt") and not name.startswith("._"):
                self._members[kind] = member
            elif not member.is_dir():
                self._others.append(member.filename)

    def unused(self) -> list[Remark]:
        remarks = []
        if (member := self._members.get("edge_labels")) is not None:
            message = f"{member.filename} is not used: no operation knows more than a weight"
            remarks.append(Remark("edge_weights_ignored", message, member.filename))
        if self._others:
            message = f"passed over what is no part of a graph: {', '.join(self._others[:10])}"
            remarks.append(Remark("files_ignored", message, self._others[0], len(self._others)))
        return remarks

    def numbers(
        self, kind: str, columns: int | None, missing: bool = False
    ) -> NDArray[np.float64] | None:
        """(lines, columns) of the file, or None where there is none; NaN where one may be
        `missing`.
        """
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
        fits = np.isfinite(table) | (missing & np.isnan(table))
        self.refuse(kind, ~fits.all(axis=1), "a number is not finite")
        return table

    def integers(self, kind: str, columns: int) -> NDArray[np.int64]:
        return self._whole(kind, columns).astype(np.int64)

    def labels(self) -> NDArray[Any]:
        """One a graph, as integers, or as floats where some are NaN."""
        labels = self._whole("graph_labels", 1, missing=True)[:, 0]
        return labels if np.isnan(labels).any() else labels.astype(np.int64)

    def _whole(self, kind: str, columns: int, missing: bool = False) -> NDArray[np.float64]:
        table = self.numbers(kind, columns, missing)
        if table is None or not len(table):
            raise FormatError(f"there is no file NAME_{kind}.txt with a line in the zip")
        whole = np.isnan(table) | ((table == np.rint(table)) & (np.abs(table) <= 2**53))
        self.refuse(kind, ~whole.all(axis=1), "a number is no integer")
        return table

    def refuse(self, kind: str, wrong: NDArray[np.bool_], why: str) -> None:
        """
        Raises:
            FormatError: a row of the file is wrong, with the line of the first.
        """
        if wrong.any():
            line = self._lines[kind][int(wrong.argmax())]
            raise FormatError(f"{self._members[kind].filename}, line {line}: {why}")


def _read(files: _Files, undirected: bool) -> tuple[dict[str, NDArray[Any]], list[Remark]]:
    graph_of = files.integers("graph_indicator", 1)[:, 0] - 1
    edges = files.integers("A", 2).T - 1
    labels = files.labels()
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
    remarks = []
    if not features:
        nodes = len(graph_of)
        degree = degrees(edges, nodes) if undirected else np.bincount(edges[1], minlength=nodes)
        features.append(_one_hot(np.minimum(degree, MAX_DEGREE)))
        message = "nodes have no labels and attributes: the number of their edges, one of n, is"
        remarks.append(Remark("features_from_degree", f"{message} what they have", None, nodes))
    x = np.hstack(features).astype(np.float32)
    if x.size > MAX_VALUES:
        raise FormatError(f"at most {MAX_VALUES:,} features in all are allowed, got {x.size:,}")
    arrays: dict[str, NDArray[Any]] = {
        "x": x,
        "edge_index": edges,
        "graph_of": graph_of,
        "y": labels,
    }
    attributes = files.numbers("edge_attributes", None)
    if attributes is not None:
        arrays["edge_attributes"] = attributes
    return arrays, remarks


def _of_every_node(table: NDArray[np.float64], nodes: int, what: str) -> NDArray[np.float64]:
    if len(table) != nodes:
        raise FormatError(f"NAME_node_{what}.txt has {len(table)} lines for {nodes} nodes")
    return table


def _one_hot(values: NDArray[Any]) -> NDArray[np.bool_]:
    known = np.unique(values)
    if len(known) > MAX_LABELS:
        raise FormatError(f"at most {MAX_LABELS:,} labels of nodes are allowed, got {len(known):,}")
    return np.asarray(values[:, None] == known)
