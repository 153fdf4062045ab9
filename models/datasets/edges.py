"""What is noticed of the edges of graphs, and what stands in for features where there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.remarks import Remark

Edges = NDArray[np.int64]
WEIGHTS = ("edge_weight", "edge_attr")


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


def of_weights(arrays: Mapping[str, NDArray[Any]], count: int) -> Iterator[Remark]:
    """Weights that differ, since nothing uses them.

    Raises:
        ValueError: weights of another number of edges.
    """
    for name in WEIGHTS:
        values = arrays.get(name)
        if values is None:
            continue
        if not values.ndim or len(values) != count:
            raise ValueError(f"{name} has one row an edge of {count}, got {values.shape}")
        if count and (values != values[0]).any():
            message = f"{name} is not used: no operation weighs edges, all of them count the same"
            yield Remark("edge_weights_ignored", message, name, count)


def degrees(edges: Edges, nodes: int) -> NDArray[np.int64]:
    """Of each node the number of others that an edge, in whichever direction, links it to."""
    low, high = np.sort(edges, axis=0)
    pairs = np.unique((low * nodes + high)[low != high])
    counts = np.bincount(np.concatenate([pairs // nodes, pairs % nodes]), minlength=nodes)
    return counts.astype(np.int64)


def features_from(edges: Edges, nodes: int) -> NDArray[np.float32]:
    """The logarithm of 1 + the degree.

    Shapes:
        (nodes, 1)
    """
    return np.log1p(degrees(edges, nodes)).astype(np.float32)[:, None]
