"""What is noticed of the edges of graphs, and what stands in for features where there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets.neighbours import neighbours_of
from models.remarks import Remark

Edges = NDArray[np.int64]
WEIGHTS = ("edge_weight", "edge_attr", "edge_attributes")
"""Names of an array with a weight an edge; the first that can be one is."""


def of_edges(edges: Edges, nodes: int, undirected: bool) -> Iterator[Remark]:
    """What a network makes of them that a person may not expect.

    Shapes:
        edges: (2, edges), source and target
    """
    distinct = np.unique(edges[0] * nodes + edges[1])
    source, target = distinct // nodes, distinct % nodes
    pairs = distinct[source != target]
    source, target = pairs // nodes, pairs % nodes
    single = np.flatnonzero(~np.isin(pairs, target * nodes + source, assume_unique=True))
    if single.size:
        first = f"first from node {source[single[0]]} to node {target[single[0]]}"
        message = f"{single.size} of {len(pairs)} edges lead in one direction only, {first}: "
        if undirected:
            message += "they are taken in both"
            yield Remark("made_undirected", message, "edge_index", int(single.size))
        else:
            message += "what a node knows goes to the target alone; undirected takes them in both"
            yield Remark("one_direction", message, "edge_index", int(single.size))
    if loops := int((edges[0] == edges[1]).sum()):
        message = f"{loops} edges lead from a node to itself; every node is linked to itself anyway"
        yield Remark("self_loops", message, "edge_index", loops)
    if copies := edges.shape[1] - len(distinct):
        message = f"{copies} edges are there already; an edge counts once"
        yield Remark("duplicate_edges", message, "edge_index", copies)
    if alone := nodes - len(np.union1d(source, target)):
        message = f"{alone} of {nodes} nodes have no edge to another: they know themselves alone"
        yield Remark("isolated_nodes", message, "edge_index", alone)


def weights_in(
    arrays: Mapping[str, NDArray[Any]], count: int
) -> tuple[str | None, NDArray[np.float32], list[Remark]]:
    """The array whose numbers weigh the edges, and these; no name where all edges count the same. A
    weight says how many edges an edge counts for: none is negative, and of several numbers an edge
    none is meant.

    Shapes:
        (edges,)

    Raises:
        ValueError: weights of another number of edges, or what is no finite number.
    """
    found, used, remarks = np.ones(count, np.float32), None, []
    for name in (name for name in WEIGHTS if name in arrays):
        values = arrays[name]
        if not values.ndim or len(values) != count:
            raise ValueError(f"{name} has one row an edge of {count}, got {values.shape}")
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{name} is numbers, got {values.dtype}")
        flat = values.reshape(count, -1).astype(np.float32)
        if wrong := np.argwhere(~np.isfinite(flat)).tolist():
            raise ValueError(f"{name} is not finite in float32, first at {wrong[0]}")
        if not count or (flat == flat[0]).all():
            if count and not flat.any():
                message = f"{name} is not used: it is 0 for every edge, and all count the same"
                remarks.append(Remark("edge_weights_ignored", message, name, count))
            continue
        if reason := _no_weight(flat, used):
            message = f"{name} is not used: {reason}"
            remarks.append(Remark("edge_weights_ignored", message, name, count))
            continue
        found, used = flat[:, 0], name
        message = (
            f"{name} weighs the edges, from {found.min():.6g} to {found.max():.6g}: one of twice "
            "the weight counts twice"
        )
        remarks.append(Remark("edge_weights", message, name, count))
    return used, found, remarks


def _no_weight(values: NDArray[np.float32], used: str | None) -> str | None:
    """Why the numbers of edges are no weights."""
    if used is not None:
        return f"{used} weighs the edges"
    if values.shape[1] > 1:
        return f"it has {values.shape[1]} numbers an edge, and a weight is one"
    if (values < 0).any():
        return f"an edge cannot count less than not at all, and the least is {values.min():.6g}"
    return None


def features_from(edges: Edges, nodes: int) -> NDArray[np.float32]:
    """The logarithm of 1 + the degree.

    Shapes:
        (nodes, 1)
    """
    counts = neighbours_of(torch.from_numpy(edges), nodes)
    found: NDArray[np.float32] = np.log1p(counts.numpy()).astype(np.float32)[:, None]
    return found
