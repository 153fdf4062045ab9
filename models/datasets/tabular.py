"""Tables of numbers: (N, features), with a class or with numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Split
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import apply
from models.datasets.splits import stratified
from models.task import Task

Array = NDArray[Any]


def classification(
    name: str,
    x: Array,
    y: Array,
    features: Sequence[str],
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Classes are those of `y` in ascending order; the split is stratified by them.

    The network's input has mean 0 and deviation 1 in every feature of the train split.

    Shapes:
        x: (N, features); y: (N,) integers or strings

    Raises:
        ValueError: shapes, types or values that make no such dataset.
    """
    _check(x, y, features)
    if y.ndim != 1 or y.dtype.kind not in "iuU":
        raise ValueError(f"y is (N,) integers or strings, got {y.dtype} {y.shape}")
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, {classes.tolist()[0]!r}; a classification needs two or more"
        )
    labels = labels.astype(np.int64)
    task = Task("tabular_classification", (x.shape[1],), len(classes))
    parts = stratified(labels, (validation, test), seed)
    return _dataset(name, task, x, labels, parts, features, {"classes": classes.tolist()})


def regression(
    name: str,
    x: Array,
    y: Array,
    features: Sequence[str],
    targets: Sequence[str],
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Input and targets have mean 0 and deviation 1 on the train split.

    Shapes:
        x: (N, features); y: (N, targets)

    Raises:
        ValueError: shapes, types or values that make no such dataset.
    """
    _check(x, y, features)
    if y.ndim != 2 or y.shape[1] != len(targets) or y.dtype.kind not in "iuf":
        raise ValueError(f"y is (N, {len(targets)}) numbers, got {y.dtype} {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError(f"y has a value that is not finite, first in row {_first_broken(y)}")
    parts = stratified(np.zeros(len(y), np.int64), (validation, test), seed)
    mean, deviation = _moments(y[parts[0]])
    standardised = ((y - mean) / deviation).astype(np.float32)
    target = {"names": list(targets), "mean": mean.tolist(), "std": deviation.tolist()}
    task = Task("tabular_regression", (x.shape[1],), y.shape[1])
    return _dataset(name, task, x, standardised, parts, features, {"target": target})


def _dataset(
    name: str,
    task: Task,
    x: Array,
    y: Array,
    parts: Sequence[NDArray[np.int64]],
    features: Sequence[str],
    outputs: dict[str, Any],
) -> Dataset:
    train, validation, test = parts
    raw = x.astype(np.float32)
    mean, deviation = _moments(x[train])
    preprocessing = {
        "input": {"shape": [x.shape[1]], "dtype": "float32", "features": list(features)},
        "steps": [{"op": "standardize", "mean": mean.tolist(), "std": deviation.tolist()}],
        **outputs,
    }

    def split(rows: NDArray[np.int64]) -> Split:
        return Split(apply(torch.from_numpy(raw[rows]), preprocessing), torch.from_numpy(y[rows]))

    arrays = {"x": raw, "y": y, "train": train, "validation": validation, "test": test}
    return Dataset(
        name=name,
        task=task,
        train=split(train),
        validation=split(validation),
        test=split(test),
        raw_test=Split(torch.from_numpy(raw[test]), torch.from_numpy(y[test])),
        preprocessing=preprocessing,
        fingerprint=fingerprint(arrays),
    )


def _check(x: Array, y: Array, features: Sequence[str]) -> None:
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "iuf":
        raise ValueError(f"x is (N, features) numbers, got {x.dtype} {x.shape}")
    if x.shape[1] != len(features):
        raise ValueError(f"x has {x.shape[1]} columns for {len(features)} names of features")
    if len(y) != len(x):
        raise ValueError(f"y has {len(y)} rows, x has {len(x)}")
    if not np.isfinite(x).all():
        raise ValueError(f"x has a value that is not finite, first in row {_first_broken(x)}")


def _first_broken(array: Array) -> int:
    return int(np.argwhere(~np.isfinite(array))[0][0])


def _moments(columns: Array) -> tuple[Array, Array]:
    """Mean and deviation of each column; 1 for the deviation of a constant one."""
    deviation = columns.std(axis=0, dtype=np.float64)
    return columns.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)
