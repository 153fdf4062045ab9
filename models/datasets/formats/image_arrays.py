"""`.npz` with arrays of images, whole or divided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from models.datasets import Dataset, images
from models.datasets.array_forms import as_pixels
from models.datasets.array_names import samples_name
from models.datasets.formats import MAX_VALUES, Upload, formats
from models.datasets.npz import converted_classes, is_npz, read_npz, samples_in
from models.datasets.targets import LabelSet
from models.task import MULTILABEL


@formats.register("image_arrays")
class ImageArrays:
    """Arrays as `models.datasets.images` takes them."""

    tasks = frozenset({"image_classification", MULTILABEL})
    options = frozenset({"validation"})
    description = (
        "an .npz with x and y, or x_train and y_train, and maybe x_val, y_val, x_test, y_test and "
        "x_unlabelled; y of several labels a sample is a matrix of 0 and 1, and labels their names"
    )

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        found = read_npz(upload.path, 4 * MAX_VALUES)
        has_labels = upload.task == MULTILABEL and _has_more_answers(found)
        names = found.pop("labels", None) if has_labels else None
        samples, remarks = samples_in(found, ImageArrays.description)
        pixels, told = as_pixels({n: a for n, a in samples.items() if n.startswith("x")})
        remarks += told
        arrays: dict[str, Any] = {**samples, **pixels}
        if upload.task != MULTILABEL:
            arrays, told = converted_classes(arrays)
            remarks += told
        arrays |= {"unlabelled": arrays.pop("x_unlabelled", None), **upload.shares}
        if upload.task == MULTILABEL:
            arrays["labels"] = _labels(names, arrays["y"])
        dataset = images.from_arrays(upload.name, folding=upload.options.folding, **arrays)
        return replace(dataset, remarks=(*remarks, *dataset.remarks))


def _has_more_answers(arrays: Iterable[str]) -> bool:
    """Whether `labels` stands beside an array of what each sample has, and names those then."""
    known = {name: samples_name(name) for name in arrays if name != "labels"}
    return not {"y", "y_train"}.isdisjoint(known.values())


def _labels(names: NDArray[Any] | None, y: NDArray[Any]) -> LabelSet:
    """
    Raises:
        ValueError: y is no matrix, or the names are not one a column of it.
    """
    if y.ndim != 2:
        raise ValueError(f"y of {MULTILABEL} is (N, labels) of 0 and 1, got {y.shape}")
    if names is None:
        return LabelSet(tuple(f"label_{place}" for place in range(y.shape[1])))
    if names.dtype.kind not in "iuU" or names.shape != (y.shape[1],):
        raise ValueError(
            f"labels holds a name for each of the {y.shape[1]} columns of y, got {names.dtype} "
            f"{names.shape}"
        )
    return LabelSet(tuple(map(str, names.tolist())))
