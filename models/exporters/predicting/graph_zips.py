"""Many graphs, as their arrays or as a zip of text files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.datasets.graph_texts import GraphTextError, GraphTexts, node_features, read_graphs
from models.exporters.predicting.graph_arrays import GraphPredictor, named_arrays
from models.exporters.predicting.predictor import Missing, PredictionError, the_only

NODES = 65536
"""That the network sees at once, or those of one graph."""


class GraphsPredictor(GraphPredictor):
    """Of a mapping of arrays, `graph_of` among them, an .npz with them, or a zip of text files as
    TUDataset has them. Where there is no `x`, `node_attributes` and `node_labels` stand for it, or
    the number of edges of a node, as in training.
    """

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        path = the_only(paths)
        if not path.endswith(".zip"):
            return super().read(paths, encoding)
        try:
            with zipfile.ZipFile(path) as archive:
                return read_graphs(GraphTexts(archive))
        except (zipfile.BadZipFile, GraphTextError) as error:
            raise PredictionError(f"{path}: {error}") from None

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        samples = named_arrays(samples)
        if "x" not in samples and "x_indptr" not in samples:
            if "nodes" not in self.preprocessing or "graph_of" not in samples:
                raise PredictionError(f"there is no array 'x'; it has {', '.join(samples)}")
            samples = samples | {"x": self._features(samples)}
        for raw in super()._batches(samples, missing):
            yield from some_at_a_time(raw, self.preprocessing["input"].get("weights"))

    def _features(self, samples: Mapping[str, Any]) -> Tensor:
        """Of nodes as `read_graphs` has them."""
        known = self.preprocessing["nodes"]
        try:
            features, new = node_features(samples, known)
        except GraphTextError as error:
            raise PredictionError(str(error)) from None
        if new:
            self.unknown["node_labels" if "labels" in known else "edges of a node"] = new
        return features


def some_at_a_time(raw: dict[str, Tensor], weights: str | None) -> Iterator[dict[str, Tensor]]:
    """Graphs with dense features, as few as have about `NODES` nodes, numbered anew; others in one.

    weights: the name of the array with a weight an edge, where they have one.

    Raises:
        PredictionError: the nodes of a graph are not together.
    """
    if "x" not in raw or "graph_of" not in raw or not len(raw["graph_of"]):
        yield raw
        return
    graph_of, edges = raw["graph_of"].to(torch.int64), raw["edge_index"].to(torch.int64)
    if graph_of[0] or (graph_of.diff() < 0).any():
        raise PredictionError("graph_of is ascending from 0: the nodes of a graph are together")
    if weights and len(raw[weights]) != edges.shape[1]:
        raise PredictionError(f"{weights} has {len(raw[weights])} rows, of {edges.shape[1]} edges")
    starts = torch.searchsorted(graph_of, torch.arange(int(graph_of[-1]) + 2))
    first, end = 0, len(starts) - 1
    while first < end:
        last = int(torch.searchsorted(starts, starts[first] + NODES, right=True)) - 1
        last = min(max(last, first + 1), end)
        low, high = starts[first], starts[last]
        kept = (edges[0] >= low) & (edges[0] < high)
        part = {"x": raw["x"][low:high], "edge_index": edges[:, kept] - low}
        part["graph_of"] = graph_of[low:high] - first
        yield part | ({weights: raw[weights][kept]} if weights else {})
        first = last
