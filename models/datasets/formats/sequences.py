"""`.npz` with sequences `x` and their classes `y`, and maybe sequences `x_unlabelled`."""

from __future__ import annotations

from pathlib import Path

from models.datasets import Dataset, series
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.npz import is_npz, read_npz


@formats.register("sequences")
class Sequences:
    tasks = frozenset({"sequence_classification"})
    options: frozenset[str] = frozenset()
    description = "an .npz with x of shape (N, T, channels) and y; and x_unlabelled or not"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        found = read_npz(upload.path, 4 * MAX_VALUES)
        if not {"x", "y"} <= found.keys():
            raise FormatError(f"x and y are needed, got {', '.join(found)}")
        more = found.get("x_unlabelled")
        return series.classification(upload.name, found["x"], found["y"], more, **upload.shares)
