"""`.npz` with arrays of images, whole or divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.datasets import Dataset, images
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.npz import is_npz, read_npz

_PARTS = ("train", "val", "valid", "validation", "test")
_SAME = {"valid": "val", "validation": "val"}
KNOWN = frozenset({"x", "y", "x_unlabelled", *(f"{a}_{part}" for a in "xy" for part in _PARTS)})


@formats.register("image_arrays")
class ImageArrays:
    """Arrays as `models.datasets.images` takes them."""

    tasks = frozenset({"image_classification"})
    options: frozenset[str] = frozenset()
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
        if unknown := sorted(found.keys() - KNOWN):
            raise FormatError(
                f"unknown array {unknown[0]!r}; expected is {ImageArrays.description}"
            )
        arrays: dict[str, Any] = {}
        for name, values in found.items():
            kind, _, part = name.partition("_")
            known = f"{kind}_{_SAME.get(part, part)}" if part and part != "train" else kind
            if known in arrays:
                raise FormatError(f"{name!r} is there under another name as well")
            arrays[known] = values
        if missing := [name for name in ("x", "y") if name not in arrays]:
            raise FormatError(
                f"x and y are needed, or x_train and y_train; {', '.join(missing)} is missing, "
                f"got {', '.join(found)}"
            )
        unlabelled = arrays.pop("x_unlabelled", None)
        return images.from_arrays(upload.name, unlabelled=unlabelled, **arrays, **upload.shares)
