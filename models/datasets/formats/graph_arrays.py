"""`.npz` of one graph: features, `edge_index`, a class a node, and masks of the split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from models.datasets import Dataset, graphs, masks
from models.datasets.adjacency import (
    DENSE,
    FORMAT,
    MATRIX,
    PLACES,
    PREFIXES,
    SAYING,
    with_edges,
)
from models.datasets.array_forms import are_whole
from models.datasets.array_names import OF_GRAPHS, graph_names
from models.datasets.edges import WEIGHTS
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.npz import is_npz, read_npz, renamed
from models.remarks import Remark

_MASKS = frozenset(name for names in masks.NAMES.values() for name in names)
_MATRIX = {f"{prefix}{name}" for prefix in PREFIXES for name in (*MATRIX, *PLACES, FORMAT)}
KNOWN = frozenset({"x", *graphs.CSR, "edge_index", "y", *WEIGHTS}) | _MASKS | _MATRIX | {DENSE}

COUNTS = frozenset({"num_nodes", "num_edges", "num_features", "num_node_features", "num_classes"})
"""Arrays of one number, which programs save beside those of a graph."""

_OTHERS = "; ".join(f"for {own} {', '.join(others)}" for own, others in OF_GRAPHS.items())


@formats.register("graph_arrays")
class GraphArrays:
    """Arrays as `models.datasets.graphs.of_nodes` takes them."""

    tasks = frozenset({"node_classification"})
    options = frozenset({"undirected"})
    description = (
        "an .npz with edge_index (or a matrix of edges: adj, or by rows data, indices, indptr and "
        "shape) "
        "and y, mostly x (or x_data, x_indices, x_indptr and x_shape), and "
        "train_mask, val_mask and test_mask or none of them"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        given = read_npz(upload.path, 4 * MAX_VALUES)
        names = graph_names(given)
        arrays = {names.get(name, name): values for name, values in given.items()}
        if len(arrays) < len(given):
            twice = sorted(name for name in names if list(names.values()).count(names[name]) > 1)
            raise FormatError(f"{' and '.join(twice)} say the same; one of them is enough")
        counts = [name for name in arrays if name in COUNTS and arrays[name].size == 1]
        arrays = {name: values for name, values in arrays.items() if name not in counts}
        if unknown := sorted(arrays.keys() - KNOWN):
            raise FormatError(
                f"unknown array {unknown[0]!r}; expected is {GraphArrays.description}; known are "
                f"{', '.join(sorted(KNOWN))}, and {_OTHERS}"
            )
        if any(name in arrays for name in SAYING):
            by_rows = with_edges(arrays)
            arrays = {name: np.asarray(values) for name, values in by_rows.items()}
        edges, remarks = arrays.get("edge_index"), renamed(names)
        if counts:
            message = f"{', '.join(counts)}: what is counted is seen from the other arrays"
            remarks.append(Remark("arrays_ignored", message, counts[0], len(counts)))
        is_by_rows = edges is not None and edges.ndim == 2 and len(edges) != 2 == edges.shape[1]
        if edges is not None and is_by_rows:
            arrays["edge_index"] = edges.T
            message = f"{len(edges)} edges stand one below the other, (edges, 2)"
            remarks.append(Remark("edges_by_rows", message, "edge_index", len(edges)))
        if edges is not None and edges.shape == (2, 2) and (edges != edges.T).any():
            message = "of two edges, (2, 2), the first row is read as where they begin"
            remarks.append(Remark("edges_by_columns", message, "edge_index", 2))
        if edges is not None and edges.dtype.kind == "f" and are_whole(edges):
            arrays["edge_index"] = arrays["edge_index"].astype(np.int64)
            if edges.size:
                message = f"edge_index is {edges.dtype} of whole numbers, which are the nodes"
                remarks.append(Remark("edges_converted", message, "edge_index", edges.size))
            else:  # of an empty list
                arrays["edge_index"] = np.zeros((2, 0), dtype=np.int64)
        undirected = upload.options.undirected
        found = graphs.of_nodes(upload.name, arrays, undirected=undirected, **upload.shares)
        known = {**found.preprocessing, "edges": "by_rows"} if is_by_rows else found.preprocessing
        return replace(found, remarks=(*remarks, *found.remarks), preprocessing=known)
