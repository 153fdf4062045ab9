"""`.npz` with sequences and their classes, whole or divided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from models.datasets import Dataset, series
from models.datasets.formats import MAX_VALUES, Upload, formats
from models.datasets.npz import converted_classes, is_npz, read_npz, samples_in


@formats.register("sequences")
class Sequences:
    tasks = frozenset({"sequence_classification"})
    options = frozenset({"validation"})
    description = (
        "an .npz with x of shape (N, T, channels) and y, or x_train and y_train, and maybe x_val, "
        "y_val, x_test, y_test and x_unlabelled"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        found = read_npz(upload.path, 4 * MAX_VALUES)
        named, remarks = samples_in(found, Sequences.description)
        samples, told = converted_classes(named)
        remarks += told
        arrays: dict[str, Any] = dict(samples)
        arrays |= {"unlabelled": arrays.pop("x_unlabelled", None), **upload.shares}
        dataset = series.classification(upload.name, folding=upload.options.folding, **arrays)
        return replace(dataset, remarks=(*remarks, *dataset.remarks))
