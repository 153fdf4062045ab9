"""A zip of text files in the format of TUDataset: many graphs with a class each.

Morris et al., 2020, https://arxiv.org/abs/2007.08663.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Dataset, graphs
from models.datasets.archive import BROKEN, names_in
from models.datasets.formats import MAX_RATIO, MAX_VALUES, FormatError, Upload, formats
from models.datasets.graph_texts import (
    GraphTextError,
    GraphTexts,
    degrees,
    node_features,
    read_graphs,
)
from models.datasets.raw_files import RawFiles
from models.remarks import Remark

MAX_BYTES = 2**30
MAX_LABELS = 4096


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
        arrays, known, remarks = read_arrays(upload.path, undirected)
        file = RawFiles.of([upload.path.read_bytes()], ".zip")
        found = graphs.of_graphs(
            upload.name, arrays, undirected=undirected, file=file, **upload.shares
        )
        preprocessing = {**found.preprocessing, "nodes": known}
        return replace(found, preprocessing=preprocessing, remarks=(*remarks, *found.remarks))


def read_arrays(
    path: Path, undirected: bool = False
) -> tuple[dict[str, NDArray[Any]], dict[str, Any], list[Remark]]:
    """The arrays of `models.datasets.graphs.of_graphs`; what is known of nodes, as
    `graph_texts.node_features` takes it; and what was not used or made up.

    Raises:
        FormatError: a file is missing or damaged; the message names file and line.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = GraphTexts(archive)
            for member in files.members.values():
                size, packed = member.file_size, member.compress_size
                if size > MAX_BYTES or size > MAX_RATIO * max(packed, 1024):
                    raise FormatError(
                        f"{member.filename}: unpacks to {size:,} bytes from {packed:,}"
                    )
            arrays, known, remarks = _read(files, undirected)
            return arrays, known, [*remarks, *_unused(files)]
    except GraphTextError as error:
        raise FormatError(str(error)) from None
    except BROKEN as error:
        raise FormatError(f"the zip cannot be read: {error}") from None


def _unused(files: GraphTexts) -> list[Remark]:
    remarks = []
    if (member := files.members.get("edge_labels")) is not None:
        message = f"{member.filename} is not used: no operation knows more than a weight"
        remarks.append(Remark("edge_weights_ignored", message, member.filename))
    if others := files.others:
        message = f"passed over what is no part of a graph: {', '.join(others[:10])}"
        remarks.append(Remark("files_ignored", message, others[0], len(others)))
    return remarks


def _read(
    files: GraphTexts, undirected: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, Any], list[Remark]]:
    found = read_graphs(files)
    y = files.whole("graph_labels", 1, missing=True)[:, 0].numpy()
    count = int(found["graph_of"][-1]) + 1
    if len(y) != count:
        raise FormatError(f"NAME_graph_labels.txt has {len(y)} lines for {count} graphs")
    known = _known(found, undirected)
    remarks = []
    if "degrees" in known:
        message = "nodes have no labels and attributes: the number of their edges, one of n, is"
        nodes = len(found["graph_of"])
        remarks.append(Remark("features_from_degree", f"{message} what they have", None, nodes))
    width = known.get("attributes", 0) + sum(map(len, known.get("labels", [known.get("degrees")])))
    if (size := width * len(found["graph_of"])) > MAX_VALUES:
        raise FormatError(f"at most {MAX_VALUES:,} features in all are allowed, got {size:,}")
    kept = ("edge_index", "graph_of", "edge_attributes")
    arrays: dict[str, NDArray[Any]] = {
        "x": node_features(found, known)[0].numpy(),
        "y": y if np.isnan(y).any() else y.astype(np.int64),
        **{name: found[name].numpy() for name in kept if name in found},
    }
    return arrays, known, remarks


def _known(found: dict[str, Tensor], undirected: bool) -> dict[str, Any]:
    """What nodes have, as JSON."""
    attributes, labels = found.get("node_attributes"), found.get("node_labels")
    if attributes is None and labels is None:
        counts = degrees(found["edge_index"], len(found["graph_of"]), undirected)
        return {"degrees": np.unique(counts.numpy()).tolist(), "undirected": undirected}
    known = [] if labels is None else [np.unique(column).tolist() for column in labels.numpy().T]
    if (most := max(map(len, known), default=0)) > MAX_LABELS:
        raise FormatError(f"at most {MAX_LABELS:,} labels of nodes are allowed, got {most:,}")
    return {"attributes": 0 if attributes is None else attributes.shape[1], "labels": known}
