"""Graphs as their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.datasets.neighbours import neighbours_of
from models.exporters.predicting.predictor import (
    Missing,
    PredictionError,
    Predictor,
    arrays_of,
    is_array,
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
        if not isinstance(samples, Mapping) and not hasattr(samples, "files"):
            raise no_graph(samples)
        named = self.preprocessing["input"].get("weights")
        for needed in ("edge_index", *((named,) if named else ())):
            if needed not in samples:
                raise PredictionError(f"there is no array {needed!r}; it has {', '.join(samples)}")
        raw = {}
        for name in samples:
            array = samples[name]
            if is_array(array) and not isinstance(array, Tensor) and array.dtype.kind not in "biuf":
                self.ignored.append(name)  # classes and other words
            else:
                raw[name] = torch.as_tensor(array)
        edges = raw["edge_index"]
        if edges.dim() == 2 and len(edges) != 2 and edges.shape[1] == 2:
            raw["edge_index"] = edges.T  # one below the other
        if self.preprocessing.get("features") == "degree" and "x" not in raw:
            nodes = len(samples["y"]) if "y" in samples else 0
            raw["x"] = degrees_of(raw["edge_index"], nodes)
        yield raw

    def _parts(self, samples: Any) -> Iterator[Any]:
        raise no_graph(samples)


def degrees_of(edges: Tensor, nodes: int) -> Tensor:
    """What stands in for features: of each node log(1 + number of others that an edge links it to).
    The nodes are those that edges name, and at least so many.

    Shapes:
        edges: (2, edges) -> (nodes, 1)
    """
    edges = edges.to(torch.int64)
    counts = neighbours_of(edges, max(nodes, int(edges.max()) + 1 if edges.numel() else 0))
    return counts.to(torch.float64).log1p().to(torch.float32).unsqueeze(1)


def no_graph(samples: Any) -> PredictionError:
    return PredictionError(f"a graph is a mapping of its arrays, got {type(samples).__name__}")
