"""Small graphs, as arrays that an upload has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def citations(nodes: int = 60, seed: int = 0) -> dict[str, NDArray[Any]]:
    """A graph in the format of an upload: three classes of nodes, which link to their own class
    more often and share words with it.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(nodes) % 3
    likely = np.where(y[:, None] == y, 0.2, 0.02)
    source, target = np.nonzero(np.triu(rng.random((nodes, nodes)) < likely, 1))
    x = (rng.random((nodes, 30)) < np.where(np.arange(30) % 3 == y[:, None], 0.3, 0.05)).astype(
        np.float32
    )
    edges = np.array([np.r_[source, target], np.r_[target, source]])
    return {"x": x, "edge_index": edges, "y": y}


def molecules(graphs: int = 40, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Rings (class 1) and chains (class 0) of three to six atoms of two kinds."""
    rng = np.random.default_rng(seed)
    y = np.arange(graphs) % 2
    sizes = rng.integers(3, 7, graphs)
    graph_of = np.repeat(np.arange(graphs), sizes)
    edges = []
    for start, size, ring in zip(np.cumsum(sizes) - sizes, sizes, y, strict=True):
        pairs = [(start + i, start + (i + 1) % size) for i in range(size if ring else size - 1)]
        edges += pairs + [(b, a) for a, b in pairs]
    x = np.eye(2, dtype=np.float32)[rng.integers(0, 2, len(graph_of))]
    return {"x": x, "edge_index": np.array(edges).T, "graph_of": graph_of, "y": y}
