"""The edges of a graph that comes as a matrix of nodes and nodes, whole or as SciPy stores one.
The same text runs in a bundle: nothing here needs more than torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

DENSE = "adj"
MATRIX = ("data", "indices", "indptr", "shape")
PLACES = ("row", "col")
PREFIXES = ("", "adj_")
FORMAT = "format"
"""What SciPy calls the kind of the matrix, beside its parts."""
SAYING = (DENSE, *(f"{prefix}{name}" for prefix in PREFIXES for name in ("indptr", "row")))
"""Arrays each of which is of a matrix of edges."""


def with_edges(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The same arrays with `edge_index` in place of a matrix, whose entry in row i and column j is
    an edge from node i to node j, and with its entries as `edge_weight`, but where all of a whole
    matrix are 1; without one as they are.

    Raises:
        ValueError: the matrix is there beside `edge_index`, or is none of nodes and nodes by rows.
    """
    found = {name: arrays[name] for name in arrays}
    saying = next((name for name in SAYING if name in found), None)
    if saying is None:
        return found
    for name in ("edge_index", "edge_weight"):
        if name in found:
            raise ValueError(f"{name} and {saying} both say the edges; one of them is enough")
    if saying == DENSE:
        return _of_whole(found)
    prefix = saying.removesuffix("indptr").removesuffix("row")
    kinds = [found.pop(name, None) for name in dict.fromkeys((f"{prefix}{FORMAT}", FORMAT))]
    kind: Any = next((kind for kind in kinds if kind is not None), None)
    kind = kind.item() if hasattr(kind, "item") else kind
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if kind not in (None, "csr", "coo"):
        raise ValueError(f"the matrix of edges is by rows, and {FORMAT} is {kind!r}; save tocsr()")
    names = MATRIX if saying.endswith("indptr") else (MATRIX[0], *PLACES, MATRIX[3])
    needed = [f"{prefix}{name}" for name in names]
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"the matrix of edges has {saying} and no {', '.join(missing)}")
    values, first, second, size = (torch.as_tensor(found.pop(name)) for name in needed)
    rows, columns, nodes = (
        (*_by_rows(first, second, needed), second.numel() - 1)
        if saying.endswith("indptr")
        else (first, second, int(size.flatten()[0]))
    )
    if size.tolist() != [nodes, nodes]:
        raise ValueError(f"{needed[3]} is nodes and nodes, got {size.tolist()} for {nodes} rows")
    edges = torch.stack([rows.to(torch.int64), columns.to(torch.int64)])
    return {**found, "edge_index": edges, "edge_weight": values}


def nodes_of(arrays: Mapping[str, Any]) -> int:
    """How many nodes the matrix of edges has; 0 without one."""
    for name in SAYING:
        if name in arrays:
            if name.endswith("row"):
                return int(arrays[name.removesuffix("row") + "shape"][0])
            return len(arrays[name]) - name.endswith("indptr")
    return 0


def _of_whole(found: dict[str, Any]) -> dict[str, Any]:
    matrix = torch.as_tensor(found.pop(DENSE))
    if matrix.dim() != 2 or len(matrix) != matrix.shape[1]:
        raise ValueError(f"{DENSE} is a matrix of nodes and nodes, got {tuple(matrix.shape)}")
    rows, columns = matrix.nonzero().T
    found["edge_index"] = torch.stack([rows, columns])
    weights = matrix[rows, columns]
    return found if (weights == 1).all() else {**found, "edge_weight": weights}


def _by_rows(columns: Tensor, starts: Tensor, names: list[str]) -> tuple[Tensor, Tensor]:
    """The row and the column of each entry."""
    if starts[0] != 0 or starts[-1] != len(columns) or (starts.diff() < 0).any():
        raise ValueError(f"{names[2]} ascends from 0 to {len(columns)}, the length of {names[1]}")
    return torch.arange(len(starts) - 1).repeat_interleave(starts.diff()), columns
