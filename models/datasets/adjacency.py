"""The edges of a graph that comes as a matrix by rows (CSR), as `scipy.sparse.save_npz` writes it.
The same text runs in a bundle: nothing here needs more than torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

MATRIX = ("data", "indices", "indptr", "shape")
PREFIXES = ("", "adj_")
POINTERS = tuple(f"{prefix}indptr" for prefix in PREFIXES)
FORMAT = "format"
"""What SciPy calls the kind of the matrix, beside its parts."""


def with_edges(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays with `edge_index` in place of a matrix, whose entry in row i and column j is
    an edge from node i to node j, and with its entries as `edge_weight`; without one as they are.

    Raises:
        ValueError: the matrix is there beside `edge_index`, or is none of nodes and nodes by rows.
    """
    found = {name: arrays[name] for name in arrays}
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}indptr" in found), None)
    if prefix is None:
        return found
    data, indices, indptr, shape = (f"{prefix}{name}" for name in MATRIX)
    for name in ("edge_index", "edge_weight"):
        if name in found:
            raise ValueError(f"{name} and {indptr} both say the edges; one of them is enough")
    if missing := [name for name in (data, indices, shape) if name not in found]:
        raise ValueError(f"the matrix of edges has {indptr} and no {', '.join(missing)}")
    kind = found.pop(FORMAT, "csr")
    kind = kind.item() if hasattr(kind, "item") else kind
    if kind not in ("csr", b"csr"):
        raise ValueError(f"the matrix of edges is by rows, and {FORMAT} is {kind!r}; save tocsr()")
    values, columns, starts, size = (
        torch.as_tensor(found.pop(name)) for name in (data, indices, indptr, shape)
    )
    nodes = starts.numel() - 1
    if size.tolist() != [nodes, nodes]:
        raise ValueError(f"{shape} is nodes and nodes, {nodes} of {indptr}, got {size.tolist()}")
    if starts[0] != 0 or starts[-1] != len(columns) or (starts.diff() < 0).any():
        raise ValueError(f"{indptr} ascends from 0 to {len(columns)}, the length of {indices}")
    rows = torch.arange(nodes).repeat_interleave(starts.diff())
    edges = torch.stack([rows, columns.to(torch.int64)])
    return {**found, "edge_index": edges, "edge_weight": values}
