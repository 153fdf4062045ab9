"""Tables: a column of numbers, dates, categories or texts each, and one or more to predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Fold, Split
from models.datasets.fingerprint import fingerprint
from models.datasets.inputs import INPUTS, Input, Numbers, input_of
from models.datasets.preprocess import apply
from models.datasets.splits import PARTS, Division, Indices
from models.datasets.statistics import moments
from models.datasets.targets import LabelSet, targets_of
from models.task import Task

Array = NDArray[Any]

FEW_KINDS = 50
"""Different rows of a table, below which equal ones are no copies: its columns take few values."""

_CHUNK_VALUES = 2**22

_UNDIVIDED = Division()

_Fit = Callable[[Indices], tuple[Array, dict[str, Any]]]
"""From the rows to train on to the targets of all rows, and what the preprocessing says of them."""


def classification(
    name: str,
    columns: Mapping[str, Array | Input],
    y: Array,
    unlabelled: Mapping[str, Array | Input] | None = None,
    *,
    labels: LabelSet | None = None,
    reading: Mapping[str, Mapping[str, Any]] | None = None,
    cells: Mapping[str, Any] | None = None,
    division: Division = _UNDIVIDED,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A table with one class a row, in ascending order; or with `labels`, any of them a row.

    A column is an `Input`, or an array: floats are a number each, NaN where it is missing; strings
    a category, empty where it is missing. Numbers become (value - mean) / deviation, categories
    one-hot, all fitted on the train split: a category that it lacks is zeros, and a column that is
    the same, or empty, in all of it is left out. Equal rows go to one
    split, as far as `division` does not say otherwise. `unlabelled` has the columns of more samples
    of it, without a class. `reading` says of a column how a person's cells are read, and `cells`
    are its texts in the file, of `pyarrow`: those of the test split are kept, for the check of a
    bundle.

    Shapes:
        columns: (N,) each; y: (N,) integers or strings, or (N, labels) of 0 and 1
        unlabelled: (M,) each
    Raises:
        ValueError: too few rows or classes.
    """
    targets = targets_of(y, labels, "tabular_classification")
    inputs = {key: input_of(values) for key, values in columns.items()}
    equal, y = groups_of(inputs), targets.y
    sets = division.sets(len(y), (validation, test), seed, y, equal)
    cuts = division.cuts(sets, seed, y, equal)
    task = (targets.task, targets.outputs)

    def fit(_: Indices) -> tuple[Array, dict[str, Any]]:
        return y, dict(targets.known)

    return _dataset(name, task, inputs, unlabelled, y, fit, sets, cuts, reading, cells)


def regression(
    name: str,
    columns: Mapping[str, Array | Input],
    targets: Mapping[str, Array],
    unlabelled: Mapping[str, Array | Input] | None = None,
    *,
    units: Mapping[str, str | None] | None = None,
    reading: Mapping[str, Mapping[str, Any]] | None = None,
    cells: Mapping[str, Any] | None = None,
    division: Division = _UNDIVIDED,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A table with one or more numbers to predict, which are standardised as the columns are;
    `preprocessing["target"]` has the means and deviations that give them back, and `units`, what
    one of each is, where that is known of any.

    Raises:
        ValueError: too few rows.
    """
    raw = np.stack(list(targets.values()), axis=1).astype(np.float64)
    inputs = {key: input_of(values) for key, values in columns.items()}
    equal = groups_of(inputs)
    sets = division.sets(len(raw), (validation, test), seed, equal=equal)
    cuts = division.cuts(sets, seed, equal=equal)
    task = ("tabular_regression", len(targets))

    def fit(train: Indices) -> tuple[Array, dict[str, Any]]:
        mean, deviation = moments(raw[train])
        target = {"names": list(targets), "mean": mean.tolist(), "std": deviation.tolist()}
        if any((units or {}).values()):
            target["units"] = [(units or {}).get(name) for name in targets]
        return ((raw - mean) / deviation).astype(np.float32), {"target": target}

    return _dataset(name, task, inputs, unlabelled, raw, fit, sets, cuts, reading, cells)


def groups_of(inputs: Mapping[str, Input]) -> Indices | None:
    """Which rows are equal; None where none are, or where the columns take few values together: few
    rows differ, and no two columns of numbers both tell them apart.

    Shapes:
        (N,) number of the group, from 0
    """
    rng = np.random.Generator(np.random.PCG64(0))
    mixed: Any = np.uint64(0)
    for entry in inputs.values():
        codes = entry.codes()
        odd = rng.integers(2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        codes = (codes ^ (codes >> np.uint64(31))) * odd  # spread, so that sums hardly ever meet
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + (codes ^ (codes >> np.uint64(29)))
    distinct, groups = np.unique(mixed, return_inverse=True)
    if len(distinct) == len(groups):
        return None
    if len(distinct) < FEW_KINDS and _told_apart_by(inputs, len(distinct)) < 2:
        return None
    return groups.astype(np.int64)


def _told_apart_by(inputs: Mapping[str, Input], kinds: int) -> int:
    """How many columns of numbers have as many values, or nearly, as there are different rows."""
    numbers = [entry.values for entry in inputs.values() if type(entry) is Numbers]
    return sum(len(np.unique(values)) >= max(0.9 * kinds, 10) for values in numbers)


def _dataset(
    name: str,
    task: tuple[Any, int],
    inputs: Mapping[str, Input],
    unlabelled: Mapping[str, Array | Input] | None,
    targets: Array,
    fit: _Fit,
    sets: Sequence[Indices],
    cuts: Sequence[tuple[Indices, Indices]],
    reading: Mapping[str, Mapping[str, Any]] | None,
    cells: Mapping[str, Any] | None,
) -> Dataset:
    more = {
        key: input_of(unlabelled[key]) if unlabelled else entry.take(np.arange(0))
        for key, entry in inputs.items()
    }
    trained = {key: entry.take(sets[0]).joined(more[key]) for key, entry in inputs.items()}
    inputs = {key: entry for key, entry in inputs.items() if not trained[key].is_mute}
    if not inputs:
        raise ValueError("each column is the same, or empty, in all rows of the train split")
    more = {key: more[key] for key in inputs}
    described = [_described(key, trained[key], (reading or {}).get(key, {})) for key in inputs]
    fitted = _raw(described, inputs, sets[0])
    if unlabelled is not None:
        fitted = np.concatenate([fitted, _raw(described, more)])
    y, extra = fit(sets[0])
    preprocessing = {**_fitted(described, fitted), **extra}
    if cells:
        first = int(sets[0][0])
        preprocessing["example"] = {key: cells[key][first].as_py() for key in inputs}
    x = [_features(described, inputs, preprocessing, chosen) for chosen in sets]
    train, val, held_out = (
        Split(part, torch.from_numpy(y[chosen])) for part, chosen in zip(x, sets, strict=True)
    )
    content = {f"x.{key}": entry.content() for key, entry in inputs.items()}
    content["y"] = targets
    content |= {f"fold.{number}": rows for number, (_, rows) in enumerate(cuts)}
    content |= dict(zip(("train", "validation", "test"), sets, strict=True))
    if unlabelled is not None:
        content |= {f"unlabelled.{key}": entry.content() for key, entry in more.items()}
    return Dataset(
        name=name,
        task=Task(task[0], (x[0].shape[1],), task[1]),
        train=train,
        validation=val,
        test=held_out,
        raw_test=Split(torch.from_numpy(_raw(described, inputs, sets[2])), held_out.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
        unlabelled=None if unlabelled is None else _features(described, more, preprocessing),
        numbers=_numbers(inputs, more if unlabelled is not None else None, sets),
        raw_rows={key: cells[key].take(sets[2]).to_pylist() for key in inputs if cells},
        folds=tuple(_fold(described, inputs, fit, *cut) for cut in cuts),
    )


def _fold(
    described: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Input],
    fit: _Fit,
    train: Indices,
    validation: Indices,
) -> Fold:
    """With the features of the whole train split; a category that this train part lacks is zeros,
    as it would be if nobody had known it.
    """
    y, extra = fit(train)
    preprocessing = {**_fitted(described, _raw(described, inputs, train)), **extra}
    x, held_out = (
        _features(described, inputs, preprocessing, rows) for rows in (train, validation)
    )
    options = [number for column in described for number in _options(column)]
    is_place = torch.tensor([number > 0 for number in options for _ in range(max(number, 1))])
    held_out[:, is_place & (x == 0).all(dim=0)] = 0
    return Fold(
        Split(x, torch.from_numpy(y[train])),
        Split(held_out, torch.from_numpy(y[validation])),
        preprocessing,
        _numbers(inputs, None, (train, validation)),
    )


def _numbers(
    inputs: Mapping[str, Input], more: Mapping[str, Input] | None, sets: Sequence[Indices]
) -> dict[str, torch.Tensor]:
    """The columns that are numbers, as they stand in the file. A fold has two of `sets`."""

    def of(entries: Mapping[str, Input], rows: Indices | slice) -> torch.Tensor:
        columns = [e.values[rows] for e in entries.values() if type(e) is Numbers]
        return torch.from_numpy(np.stack(columns, axis=1).astype(np.float64))

    if not any(type(entry) is Numbers for entry in inputs.values()):
        return {}
    numbers = {name: of(inputs, rows) for name, rows in zip(PARTS, sets, strict=False)}
    return numbers if more is None else {**numbers, "unlabelled": of(more, slice(None))}


def columns_of_features(preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The place of the column that each feature is made of: a category has one a value.

    Shapes:
        (features,) int64, ascending
    """
    widths = torch.tensor(
        [sum(max(options, 1) for options in _options(c)) for c in preprocessing["columns"]]
    )
    return torch.arange(len(widths)).repeat_interleave(widths)


def _options(column: Mapping[str, Any]) -> list[int]:
    return INPUTS[column["kind"]].options(column)


def _described(name: str, entry: Input, reading: Mapping[str, Any]) -> dict[str, Any]:
    """A column as `preprocessing.json` has it; categories are those of the train split."""
    return {"name": name, **entry.describe(), **reading}


def _raw(
    described: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Input],
    rows: Indices | None = None,
) -> NDArray[np.float64]:
    parts = []
    for column in described:
        entry = inputs[column["name"]]
        parts.append((entry if rows is None else entry.take(rows)).raw(column))
    return np.concatenate(parts, axis=1)


def _features(
    described: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Input],
    preprocessing: Mapping[str, Any],
    rows: Indices | None = None,
) -> torch.Tensor:
    """What a network takes, worked out in parts: on the way it takes several times as much."""
    count = len(next(iter(inputs.values())).values) if rows is None else len(rows)
    rows = np.arange(count) if rows is None else rows
    width = sum(max(options, 1) for column in described for options in _options(column))
    step = max(1, _CHUNK_VALUES // width)
    features = torch.empty(count, width)
    for i in range(0, count, step):
        raw = torch.from_numpy(_raw(described, inputs, rows[i : i + step]))
        features[i : i + step] = apply(raw, preprocessing)
    return features


def _fitted(columns: Sequence[Mapping[str, Any]], train: NDArray[np.float64]) -> dict[str, Any]:
    """Fill what is missing with the mean, spread out categories, standardise numbers alone; the
    places of a text share one deviation, or rare words would count most.
    """
    options = [number for column in columns for number in _options(column)]
    is_text = [column["kind"] == "text" for column in columns for _ in _options(column)]
    filled = np.zeros(len(options))
    means: list[float] = []
    deviations: list[float] = []
    spread = _spread_of_texts(columns, train)
    for index, values in enumerate(train.T):
        if options[index]:
            means += [0.0] * options[index]
            deviations += [1.0] * options[index]
            continue
        if is_text[index]:
            means.append(0.0)
            deviations.append(spread[index])
            continue
        present = values[~np.isnan(values)]
        mean, deviation = (v.item() for v in moments(present)) if len(present) else (0.0, 1.0)
        filled[index] = mean
        means.append(mean)
        deviations.append(deviation)
    return {
        "input": {"shape": [len(options)], "dtype": "float64"},
        "columns": [dict(column) for column in columns],
        "steps": [
            {"op": "impute", "values": filled.tolist()},
            *([{"op": "one_hot", "options": options}] if any(options) else []),
            {"op": "standardize", "mean": means, "std": deviations},
        ],
    }


def _spread_of_texts(
    columns: Sequence[Mapping[str, Any]], train: NDArray[np.float64]
) -> dict[int, float]:
    """The root mean square of a text's places, by the number of each."""
    spread: dict[int, float] = {}
    start = 0
    for column in columns:
        end = start + len(_options(column))
        if column["kind"] == "text":
            root = float(np.sqrt(np.mean(np.square(train[:, start:end])))) or 1.0
            spread |= dict.fromkeys(range(start, end), root)
        start = end
    return spread
