"""Datasets that come with scikit-learn, without a download."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from models.datasets import Dataset, datasets, images


def _bundled(file_name: str) -> Path:
    """A file of scikit-learn's data folder; importing scikit-learn to read it costs 2 s."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("scikit-learn is not installed, and the data comes with it")
    return Path(package.submodule_search_locations[0], "datasets", "data", file_name)


@datasets.register("digits")
class Digits:
    """Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).

    Shapes:
        a raw sample: (8, 8), grey from 0 (paper) to 16 (ink)
    """

    task_name = "image_classification"
    description = "1,797 handwritten digits of 8x8 pixels, 10 classes"

    @staticmethod
    @cache
    def load() -> Dataset:
        with gzip.open(_bundled("digits.csv.gz"), "rt") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
        pixels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
        return images.from_arrays("digits", pixels, labels)
