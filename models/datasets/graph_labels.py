"""Classes of nodes or of graphs, some of which nobody knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.array_forms import as_classes, of_odd_classes
from models.remarks import Remark

UNLABELLED = -1
"""The class of what has none."""


def read_labels(
    y: NDArray[Any] | None, what: str
) -> tuple[list[Any], NDArray[np.int64], list[Remark]]:
    """The classes in ascending order, and the index of each sample's, `UNLABELLED` where it has
    none: NaN, an empty text, a row without a 1, or -1 beside two or more classes from 0 on. Beside
    one, -1 is a class.

    Shapes:
        y: (N,) or (N, 1) integers, whole numbers or strings, or (N, classes) with at most one 1 a
            row
        what: "node" or "graph"

    Raises:
        ValueError: no such array, or fewer than two classes.
    """
    if y is None:
        raise ValueError("y is missing")
    y = _with_gaps(y)
    flat, converted = (y, []) if y.ndim == 1 and y.dtype.kind == "f" else as_classes("y", y)
    if flat.ndim != 1 or flat.dtype.kind not in "iufU":
        raise ValueError(f"y is integers or strings, one class a {what}, got {y.dtype} {y.shape}")
    known, values, remarks = _known(flat)
    remarks = [*converted, *remarks]
    if not known.any():
        raise ValueError("y has no class")
    classes, places = np.unique(values[known], return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, {classes.tolist()[0]!r}; a classification needs two or more"
        )
    labels = np.full(len(flat), UNLABELLED, dtype=np.int64)
    labels[known] = places
    if without := int((~known).sum()):
        message = f"{without} of {len(flat)} {what}s have no class and are in no split"
        remarks.append(Remark(f"unlabelled_{what}s", message, "y", without))
    return classes.tolist(), labels, [*remarks, *of_odd_classes("y", classes)]


def _with_gaps(y: NDArray[Any]) -> NDArray[Any]:
    """A matrix of 0 and 1 of which some rows have none, as its classes, NaN for those."""
    if y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        return y
    sums = y.sum(axis=1)
    if not ((sums == 0).any() and (sums <= 1).all()):
        return y
    found: NDArray[Any] = np.where(sums > 0, y.argmax(axis=1), np.nan)
    return found


def _known(y: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any], list[Remark]]:
    """Which have a class, and the classes as integers or strings."""
    if y.dtype.kind == "U":
        return (y != "") & (y != "nan"), y, []  # NumPy spells NaN so among strings
    known = np.ones(len(y), dtype=np.bool_)
    if y.dtype.kind == "f":
        known = ~np.isnan(y)
        whole = (y == np.rint(y)) & (np.abs(y) <= 2**53)
        if (wrong := np.flatnonzero(known & ~whole)).size:
            raise ValueError(f"y is whole numbers or NaN, got {y[wrong[0]]} at [{wrong[0]}]")
        y = np.where(known, y, 0).astype(np.int64)
    if y.dtype.kind == "u" or not (known & (y == -1)).any():
        return known, y, []
    others = np.unique(y[known & (y != -1)])
    if len(others) >= 2 and others[0] >= 0:
        return known & (y != -1), y, []
    count = int((known & (y == -1)).sum())
    reason = "there are other negative ones" if (others < 0).any() else "there is but one other"
    message = f"-1 counts as a class, since {reason}; NaN says that there is none"
    return known, y, [Remark("minus_one_is_a_class", message, "y", count)]
