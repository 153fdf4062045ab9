"""`.npz` with `x` and `y`, or with `x_train`, `y_train`, `x_test` and `y_test`; and, if there are
images without a label, `x_unlabelled`.
"""

from __future__ import annotations

from pathlib import Path

from models.datasets import Dataset, images
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.npz import is_npz, read_npz


@formats.register("image_arrays")
class ImageArrays:
    """Arrays as `models.datasets.images` takes them."""

    tasks = frozenset({"image_classification"})
    options: frozenset[str] = frozenset()
    description = (
        "an .npz with x and y, or with x_train, y_train, x_test and y_test; and x_unlabelled or not"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        found = read_npz(upload.path, 4 * MAX_VALUES)
        shares = {**upload.shares, "unlabelled": found.get("x_unlabelled")}
        if {"x", "y"} <= found.keys():
            return images.from_arrays(upload.name, found["x"], found["y"], **shares)
        names = ("x_train", "y_train", "x_test", "y_test")
        if missing := [name for name in names if name not in found]:
            raise FormatError(
                f"x and y are needed, or {', '.join(names)}; of these {', '.join(missing)} "
                f"are missing, got {', '.join(found)}"
            )
        x, y, x_test, y_test = (found[name] for name in names)
        return images.from_arrays(upload.name, x, y, x_test, y_test, **shares)
