"""Graphs as their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.datasets.adjacency import nodes_of, with_edges
from models.datasets.array_names import graph_names
from models.datasets.neighbours import neighbours_of
from models.exporters.predicting.predictor import (
    Missing,
    PredictionError,
    Predictor,
    arrays_of,
    numbers_in,
    the_only,
)


class GraphPredictor(Predictor):
    """Of a mapping of arrays, or an .npz with them."""

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        path = the_only(paths)
        if not path.endswith(".npz"):
            raise PredictionError(f"{path}: an .npz with the arrays of a graph is needed")
        return arrays_of(path)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        given = named_arrays(samples)
        try:
            arrays = with_edges(given)
        except ValueError as error:
            raise PredictionError(str(error)) from None
        named = self.preprocessing["input"].get("weights")
        for needed in ("edge_index", *((named,) if named else ())):
            if needed not in arrays:
                raise PredictionError(f"there is no array {needed!r}; it has {', '.join(given)}")
        raw = self._numbers(arrays)
        if self.preprocessing.get("features") == "degree" and "x" not in raw:
            nodes = max(len(arrays["y"]) if "y" in arrays else 0, nodes_of(given))
            raw["x"] = degrees_of(raw["edge_index"], nodes)
        refuse_strays(raw)
        yield raw

    def _numbers(self, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
        """All arrays but classes and other words."""
        raw = {}
        for name, array in arrays.items():
            try:
                raw[name] = numbers_in(array)
            except PredictionError:
                self.ignored.append(name)
                continue
            if name in ("x", "x_data") and not raw[name].isfinite().all():
                raise PredictionError(f"array {name!r} has a value that is no finite number")
        if "edge_index" not in raw:
            raise PredictionError("array 'edge_index' holds no numbers")
        edges = raw["edge_index"] if raw["edge_index"].numel() else torch.zeros(2, 0)
        raw["edge_index"] = edges
        is_square = list(edges.shape) == [2, 2] and self.preprocessing.get("edges") == "by_rows"
        if is_square or (edges.dim() == 2 and len(edges) != 2 and edges.shape[1] == 2):
            edges = raw["edge_index"] = edges.T  # one below the other
        if edges.dim() != 2 or len(edges) != 2 or (edges != edges.to(torch.int64)).any():
            raise PredictionError(
                f"edge_index is whole numbers of (2, edges), got {edges.dtype} {tuple(edges.shape)}"
            )
        named = self.preprocessing["input"].get("weights")
        self.ignored += [
            name for name in raw if name.startswith("edge_") and name not in ("edge_index", named)
        ]
        if named in raw and not ((raw[named] >= 0) & raw[named].isfinite()).all():
            raise PredictionError(f"{named} has a number that is no weight: negative or not finite")
        return raw

    def _parts(self, samples: Any) -> Iterator[Any]:
        raise no_graph(samples)


def named_arrays(samples: Any) -> dict[str, Any]:
    """By the names that they have here; labels of the nodes of many graphs are none of these.

    Raises:
        PredictionError: it is no mapping.
    """
    if not isinstance(samples, Mapping) and not hasattr(samples, "files"):
        raise no_graph(samples)
    names = {} if "graph_of" in samples else graph_names(samples)
    return {names.get(name, name): samples[name] for name in samples}


def degrees_of(edges: Tensor, nodes: int) -> Tensor:
    """What stands in for features: of each node log(1 + number of others that an edge links it to).
    The nodes are those that edges name, and at least so many.

    Shapes:
        edges: (2, edges) -> (nodes, 1)
    """
    edges = edges.to(torch.int64)
    counts = neighbours_of(edges, max(nodes, int(edges.max()) + 1 if edges.numel() else 0))
    return counts.to(torch.float64).log1p().to(torch.float32).unsqueeze(1)


def refuse_strays(raw: Mapping[str, Tensor]) -> None:
    """
    Raises:
        PredictionError: there are no features, or an edge leads from or to a node without any, or
            such a node is asked for.
    """
    if "x" not in raw and "x_indptr" not in raw:
        raise PredictionError(f"there is no array 'x' of numbers; it has {', '.join(raw)}")
    edges = raw["edge_index"]
    nodes = len(raw["x"]) if "x" in raw else len(raw["x_indptr"]) - 1
    picked = raw.get("picked")
    if picked is not None and picked.numel() and not (0 <= picked.min() <= picked.max() < nodes):
        raise PredictionError(
            f"picked names nodes from 0 to {nodes - 1}, got {picked.tolist()[:5]}"
        )
    if edges.numel() and not (0 <= edges.min() and edges.max() < nodes):
        low, high = int(edges.min()), int(edges.max())
        raise PredictionError(
            f"there are {nodes} nodes, edge_index names those from 0 to {nodes - 1}; it has "
            f"{low} to {high}"
        )


def no_graph(samples: Any) -> PredictionError:
    return PredictionError(f"a graph is a mapping of its arrays, got {type(samples).__name__}")
