"""Tables: a column of numbers or of categories each, and one or more columns to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Split
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import apply
from models.datasets.splits import Indices, shuffled, stratified
from models.datasets.statistics import moments
from models.task import Task

Array = NDArray[Any]


def classification(
    name: str,
    columns: Mapping[str, Array],
    labels: Array,
    unlabelled: Mapping[str, Array] | None = None,
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A table with one class a row; classes are those of `labels` in ascending order.

    A column of floats is a number each, NaN where it is missing; a column of strings is a category,
    empty where it is missing. Numbers become (value - mean) / deviation, categories one-hot, all
    fitted on the train split: a category that it lacks is zeros. `unlabelled` has the columns of
    more samples of it, without a class.

    Shapes:
        columns: (N,) each; labels: (N,) integers or strings; unlabelled: (M,) each
    Raises:
        ValueError: too few rows or classes.
    """
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"there is one class, {classes[0]!s}; a classification needs two or more")
    y = y.astype(np.int64)
    sets = stratified(y, (validation, test), seed)
    task = ("tabular_classification", len(classes))
    return _dataset(name, task, columns, unlabelled, y, sets, {"classes": classes.tolist()})


def regression(
    name: str,
    columns: Mapping[str, Array],
    targets: Mapping[str, Array],
    unlabelled: Mapping[str, Array] | None = None,
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A table with one or more numbers to predict, which are standardised as the columns are;
    `preprocessing["target"]` has the means and deviations that give them back.

    Raises:
        ValueError: too few rows.
    """
    raw = np.stack(list(targets.values()), axis=1).astype(np.float64)
    sets = shuffled(len(raw), (validation, test), seed)
    mean, deviation = moments(raw[sets[0]])
    y = ((raw - mean) / deviation).astype(np.float32)
    target = {"names": list(targets), "mean": mean.tolist(), "std": deviation.tolist()}
    task = ("tabular_regression", len(targets))
    return _dataset(name, task, columns, unlabelled, y, sets, {"target": target}, raw)


def _dataset(
    name: str,
    task: tuple[Any, int],
    columns: Mapping[str, Array],
    unlabelled: Mapping[str, Array] | None,
    y: Array,
    sets: Sequence[Indices],
    extra: Mapping[str, Any],
    raw_targets: Array | None = None,
) -> Dataset:
    more = unlabelled or {key: values[:0] for key, values in columns.items()}
    described = [
        _described(key, np.concatenate([values[sets[0]], more[key]]))
        for key, values in columns.items()
    ]
    raw, raw_more = (
        np.stack([_raw(entry, table[entry["name"]]) for entry in described], axis=1)
        for table in (columns, more)
    )
    preprocessing = {**_fitted(described, np.concatenate([raw[sets[0]], raw_more])), **extra}
    inputs = [apply(torch.from_numpy(raw[chosen]), preprocessing) for chosen in sets]
    train, validation, test = (
        Split(x, torch.from_numpy(y[chosen])) for x, chosen in zip(inputs, sets, strict=True)
    )
    content = {f"x.{key}": values for key, values in columns.items()}
    content["y"] = y if raw_targets is None else raw_targets
    content |= dict(zip(("train", "validation", "test"), sets, strict=True))
    if unlabelled is not None:
        content |= {f"unlabelled.{key}": values for key, values in unlabelled.items()}
    return Dataset(
        name=name,
        task=Task(task[0], (inputs[0].shape[1],), task[1]),
        train=train,
        validation=validation,
        test=test,
        raw_test=Split(torch.from_numpy(raw[sets[2]]), test.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
        unlabelled=None if unlabelled is None else apply(torch.from_numpy(raw_more), preprocessing),
    )


def columns_of_features(preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The place of the column that each feature is made of: a category has one a value.

    Shapes:
        (features,) int64, ascending
    """
    widths = torch.tensor([len(c.get("values", ())) or 1 for c in preprocessing["columns"]])
    return torch.arange(len(widths)).repeat_interleave(widths)


def _described(name: str, values: Array) -> dict[str, Any]:
    """A column as `preprocessing.json` has it; categories are those of the train split."""
    if values.dtype.kind == "U":
        known = [value for value in np.unique(values).tolist() if value]
        if not known:
            raise ValueError(f"column {name!r} is empty in every row of the train split")
        return {"name": name, "kind": "category", "values": known}
    return {"name": name, "kind": "number"}


def _raw(column: Mapping[str, Any], values: Array) -> NDArray[np.float64]:
    if column["kind"] == "number":
        return values.astype(np.float64)
    known = np.array(column["values"], dtype=str)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[places] == values, places, -1).astype(np.float64)


def _fitted(columns: Sequence[Mapping[str, Any]], train: NDArray[np.float64]) -> dict[str, Any]:
    """Fill what is missing with the mean, spread out categories, standardise numbers alone."""
    options = [len(column.get("values", ())) for column in columns]
    is_number = [column["kind"] == "number" for column in columns]
    filled = np.zeros(len(columns))
    means: list[float] = []
    deviations: list[float] = []
    for index, column in enumerate(train.T):
        if not is_number[index]:
            means += [0.0] * options[index]
            deviations += [1.0] * options[index]
            continue
        present = column[~np.isnan(column)]
        mean, deviation = (v.item() for v in moments(present)) if len(present) else (0.0, 1.0)
        filled[index] = mean
        means.append(mean)
        deviations.append(deviation)
    return {
        "input": {"shape": [len(columns)], "dtype": "float64"},
        "columns": [dict(column) for column in columns],
        "steps": [
            {"op": "impute", "values": filled.tolist()},
            *([{"op": "one_hot", "options": options}] if any(options) else []),
            {"op": "standardize", "mean": means, "std": deviations},
        ],
    }
