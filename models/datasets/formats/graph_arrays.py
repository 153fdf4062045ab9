"""`.npz` of one graph: features, `edge_index`, a class a node, and masks of the split."""

from __future__ import annotations

from pathlib import Path

from models.datasets import Dataset, graphs
from models.datasets.formats import MAX_VALUES, Upload, formats
from models.datasets.npz import is_npz, read_npz


@formats.register("graph_arrays")
class GraphArrays:
    """Arrays as `models.datasets.graphs.of_nodes` takes them."""

    tasks = frozenset({"node_classification"})
    options: frozenset[str] = frozenset()
    description = (
        "an .npz with x (or x_data, x_indices, x_indptr and x_shape), edge_index and y, and "
        "train_mask, val_mask and test_mask or none of them"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        return graphs.of_nodes(upload.name, read_npz(upload.path, 4 * MAX_VALUES), **upload.shares)
