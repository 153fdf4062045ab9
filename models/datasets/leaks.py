"""Columns that alone give the target: told, as one that is its consequence is not known when one
predicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.inputs import Categories, Dates, Input, LongTexts
from models.remarks import Remark

LEAK = 0.999
"""Share of the rows that one column alone predicts, from which on it is told."""

FEW = 0.2
"""Different values of a column, as a share of the rows, up to which each may stand for itself."""

_RANKED = 20_000
"""Rows whose ranks are compared."""

Array = NDArray[Any]


def of_leaks(
    inputs: Mapping[str, Input], target: Array, equal: NDArray[np.int64] | None = None
) -> Iterator[Remark]:
    """Columns that alone give the target: often its own consequence, unknown when one predicts.

    equal: the number of each row's group of equal ones, which count once; None: all differ.

    Shapes:
        target: (N,) classes as int64, or floats; equal: (N,)
    """
    if equal is not None:
        first = np.unique(equal, return_index=True)[1]
        inputs = {name: entry.take(first) for name, entry in inputs.items()}
        target = target[first]
    for name, entry in inputs.items():
        share = _explained(entry, target)
        if share >= LEAK:
            message = f"{name!r} alone gives the target; will it be known when one predicts?"
            yield Remark("possible_leak", message, name)


def _explained(entry: Input, target: Array) -> float:
    """Share of the rows that one column predicts, beyond what its number of values would by
    chance.
    """
    if isinstance(entry, LongTexts):
        return 0.0
    if isinstance(entry, Categories):
        return _by_value(entry.codes().astype(np.int64), target)
    values = entry.values.astype(np.float64)
    known = np.isfinite(values)
    if isinstance(entry, Dates):
        known = ~np.isnat(entry.values)
    if known.sum() < 10:
        return 0.0
    found = _in_order(values[known], target[known])
    if found < LEAK and not known.all():
        found = max(found, _by_value(known.astype(np.int64), target))
    if found < LEAK and target.dtype.kind != "f":
        _, places = np.unique(values[known], return_inverse=True)
        found = max(found, _by_value(places, target[known]))
    return found


def _in_order(values: Array, target: Array) -> float:
    """What a column says whose values rise, or fall, with the target: of numbers the square of the
    correlation, of them or of their ranks; of classes 1 where each is in one piece.
    """
    if target.dtype.kind == "f":
        if values.std() == 0 or target.std() == 0:
            return 0.0
        linear = float(np.corrcoef(values, target)[0, 1] ** 2)
        chosen = slice(None, None, max(1, len(values) // _RANKED))
        value, wanted = (np.unique(of[chosen], return_inverse=True)[1] for of in (values, target))
        if value.max() == 0 or wanted.max() == 0:
            return linear
        return max(linear, float(np.corrcoef(value, wanted)[0, 1] ** 2))
    order = np.argsort(values, kind="stable")
    changes = int((np.diff(target[order]) != 0).sum())
    classes = len(np.unique(target))
    return 1.0 if changes == classes - 1 and classes > 1 else 0.0


def _by_value(places: NDArray[np.int64], target: Array) -> float:
    """Share of the target that the values of a category explain: of the rows outside the most
    frequent class, or the variance between them; nothing where there are many values.
    """
    if places.max() + 1 > FEW * len(target):
        return 0.0
    if target.dtype.kind == "f":
        counts = np.bincount(places)
        means = np.bincount(places, target) / np.maximum(counts, 1)
        whole = float(np.square(target - target.mean()).sum())
        return 1.0 - float(np.square(target - means[places]).sum()) / whole if whole else 0.0
    classes = int(target.max()) + 1
    pairs = np.bincount(places * classes + target, minlength=(int(places.max()) + 1) * classes)
    right, most = int(pairs.reshape(-1, classes).max(axis=1).sum()), int(np.bincount(target).max())
    return (right - most) / (len(target) - most) if most < len(target) else 0.0
