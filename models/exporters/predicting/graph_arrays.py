"""Graphs as their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from models.exporters.predicting.predictor import (
    Missing,
    PredictionError,
    Predictor,
    arrays_of,
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
        yield {name: torch.as_tensor(samples[name]) for name in samples}

    def _parts(self, samples: Any) -> Iterator[Any]:
        raise no_graph(samples)


def no_graph(samples: Any) -> PredictionError:
    return PredictionError(f"a graph is a mapping of its arrays, got {type(samples).__name__}")
