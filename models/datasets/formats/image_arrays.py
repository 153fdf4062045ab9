"""`.npz` with arrays of images, whole or divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.datasets import Dataset, images
from models.datasets.formats import MAX_VALUES, Upload, formats
from models.datasets.npz import is_npz, read_npz, samples_in


@formats.register("image_arrays")
class ImageArrays:
    """Arrays as `models.datasets.images` takes them."""

    tasks = frozenset({"image_classification"})
    options = frozenset({"validation"})
    description = (
        "an .npz with x and y, or x_train and y_train, and maybe x_val, y_val, x_test, y_test and "
        "x_unlabelled"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        found = read_npz(upload.path, 4 * MAX_VALUES)
        arrays: dict[str, Any] = samples_in(found, ImageArrays.description)
        arrays |= {"unlabelled": arrays.pop("x_unlabelled", None), **upload.shares}
        return images.from_arrays(upload.name, folding=upload.options.folding, **arrays)
