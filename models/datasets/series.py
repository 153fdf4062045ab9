"""Series in time: windows of a multivariate series to forecast from, and labelled sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Split
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import apply
from models.datasets.splits import ordered, stratified
from models.datasets.statistics import moments
from models.task import Task


def forecasting(
    name: str,
    values: NDArray[np.float64],
    names: Sequence[str],
    targets: Sequence[str],
    *,
    window: int,
    horizon: int,
    validation: float = 0.2,
    test: float = 0.2,
) -> Dataset:
    """Windows of a series and what comes after them, split by time: the last rows are the test.

    The values to forecast of a split lie in that split; a window may reach back into the one
    before, as it would in use. Every series is standardised by the train rows alone.

    Shapes:
        values: (T, series)
        x: (N, window, series); y: (N, horizon * targets), the targets of one time step together
    Raises:
        ValueError: too few rows for a window and its horizon in each split.
    """
    blocks = ordered(len(values), (validation, test))
    mean, deviation = moments(values[blocks[0]])
    scaled = torch.from_numpy(((values - mean) / deviation).astype(np.float32))
    raw = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
    columns = [list(names).index(target) for target in targets]
    splits = []
    for block in blocks:
        first = max(int(block[0]), window)  # of the rows to forecast
        samples = int(block[-1]) + 1 - first - horizon + 1
        if samples < 1:
            raise ValueError(
                f"{len(block)} rows of a split are too few for a window of {window} and a "
                f"horizon of {horizon}"
            )
        x, raw_x = (
            rows.unfold(0, window, 1)[first - window :][:samples].transpose(1, 2)
            for rows in (scaled, raw)
        )
        y = scaled[:, columns].unfold(0, horizon, 1)[first:][:samples].transpose(1, 2)
        splits.append((x, y.reshape(samples, -1), raw_x))
    steps = [{"op": "standardize", "axis": -1, "mean": mean.tolist(), "std": deviation.tolist()}]
    preprocessing = {
        "input": {"shape": [window, len(names)], "dtype": "float64"},
        "series": list(names),
        "steps": steps,
        "target": {
            "names": list(targets),
            "horizon": horizon,
            "mean": mean[columns].tolist(),
            "std": deviation[columns].tolist(),
        },
    }
    train, val, held_out = (Split(x, y) for x, y, _ in splits)
    content = {
        "values": values,
        "names": np.array(list(names)),
        "targets": np.array(columns),
        "windows": np.array([window, horizon]),
        "splits": np.array([len(block) for block in blocks]),
    }
    return Dataset(
        name=name,
        task=Task(
            "forecasting",
            (window, len(names)),
            horizon * len(targets),
            targets=tuple(columns),
        ),
        train=train,
        validation=val,
        test=held_out,
        raw_test=Split(splits[2][2], held_out.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
    )


def classification(
    name: str,
    x: NDArray[Any],
    labels: NDArray[Any],
    unlabelled: NDArray[Any] | None = None,
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Sequences with one class each, every channel standardised by the train split, to which
    `unlabelled` adds samples without a class.

    Shapes:
        x: (N, T, channels); labels: (N,); unlabelled: (M, T, channels)

    Raises:
        ValueError: shapes or values that make no such dataset, with the array at fault.
    """
    _check("x", x)
    if labels.shape != (len(x),) or labels.dtype.kind not in "iuU":
        raise ValueError(
            f"y is ({len(x)},) integers or strings, got {labels.dtype} of {labels.shape}"
        )
    more = x[:0]
    if unlabelled is not None:
        _check("x_unlabelled", unlabelled)
        if unlabelled.shape[1:] != x.shape[1:]:
            raise ValueError(f"x_unlabelled has samples of {unlabelled.shape[1:]}, x {x.shape[1:]}")
        more = unlabelled
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class, {classes[0]!s}; a classification needs two or more")
    y = y.astype(np.int64)
    sets = stratified(y, (validation, test), seed)
    mean, deviation = moments(np.concatenate([x[sets[0]], more]).reshape(-1, x.shape[2]))
    preprocessing = {
        "input": {"shape": list(x.shape[1:]), "dtype": "float64"},
        "steps": [
            {"op": "standardize", "axis": -1, "mean": mean.tolist(), "std": deviation.tolist()}
        ],
        "classes": classes.tolist(),
    }
    raw = [torch.from_numpy(part.astype(np.float64)) for part in (*(x[s] for s in sets), more)]
    *inputs, extra = (apply(samples, preprocessing) for samples in raw)
    train, val, held_out = (
        Split(samples, torch.from_numpy(y[chosen]))
        for samples, chosen in zip(inputs, sets, strict=True)
    )
    content = {"x": x, "y": y, **dict(zip(("train", "validation", "test"), sets, strict=True))}
    if unlabelled is not None:
        content["x_unlabelled"] = unlabelled
    return Dataset(
        name=name,
        task=Task("sequence_classification", (x.shape[1], x.shape[2]), len(classes)),
        train=train,
        validation=val,
        test=held_out,
        raw_test=Split(raw[2], held_out.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
        unlabelled=None if unlabelled is None else extra,
    )


def _check(name: str, x: NDArray[Any]) -> None:
    if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise ValueError(f"{name} is numbers of shape (N, T, channels), got {x.dtype} of {x.shape}")
    if not np.isfinite(x).all():
        sample = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{name} has a value that is not finite, first in sample {sample}")
