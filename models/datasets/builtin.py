"""Datasets that come with scikit-learn, without a download."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, datasets, images, tabular


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


@datasets.register("wine")
class Wine:
    """Aeberhard and Forina, Wine, UCI, 1992: a chemical analysis of three cultivars."""

    task_name = "tabular_classification"
    description = "178 wines by 13 chemical measurements, 3 cultivars"

    @staticmethod
    @cache
    def load() -> Dataset:
        x, y = _labelled("wine_data.csv")
        return tabular.classification("wine", _columns(_WINE_FEATURES, x), y)


@datasets.register("breast_cancer")
class BreastCancer:
    """Wolberg et al., Breast Cancer Wisconsin (Diagnostic), UCI, 1995."""

    task_name = "tabular_classification"
    description = "569 tumours by 30 measurements of cell nuclei, malignant or benign"

    @staticmethod
    @cache
    def load() -> Dataset:
        x, y = _labelled("breast_cancer.csv")
        kinds = ("mean {}", "{} error", "worst {}")
        features = [kind.format(name) for kind in kinds for name in _NUCLEUS_FEATURES]
        return tabular.classification("breast_cancer", _columns(features, x), y)


@datasets.register("diabetes")
class Diabetes:
    """Efron et al., Least Angle Regression, Annals of Statistics 2004; raw measurements."""

    task_name = "tabular_regression"
    description = "442 patients by 10 measurements, progression of the disease after a year"

    @staticmethod
    @cache
    def load() -> Dataset:
        with gzip.open(_bundled("diabetes_data_raw.csv.gz"), "rt") as lines:
            x = np.loadtxt(lines)
        with gzip.open(_bundled("diabetes_target.csv.gz"), "rt") as lines:
            y = np.loadtxt(lines)
        return tabular.regression("diabetes", _columns(_DIABETES_FEATURES, x), {"progression": y})


_WINE_FEATURES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
)
_NUCLEUS_FEATURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_DIABETES_FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def _columns(names: Sequence[str], x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(names, x.T, strict=True))


def _labelled(file_name: str) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """A table whose first line is rows, columns and class names, whose last column is the class."""
    with _bundled(file_name).open() as lines:
        names = np.array(next(lines).split(",")[2:], dtype=np.str_)
        table = np.loadtxt(lines, delimiter=",")
    return table[:, :-1], np.char.strip(names)[table[:, -1].astype(int)]
