"""What samples are called: one class each, or as many labels as they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.task import MULTILABEL, TaskName

Array = NDArray[Any]

MAX_LABELS = 1000


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of a multilabel classification, in the order of its outputs, and the sign that
    divides those of one sample where they are written as a text.
    """

    names: tuple[str, ...]
    separator: str = ";"

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_LABELS:
            raise ValueError(f"there are 1 to {MAX_LABELS:,} labels, got {len(self.names):,}")
        if repeated := {name for name in self.names if self.names.count(name) > 1}:
            raise ValueError(f"each label has a name of its own, got {min(repeated)!r} twice")
        if wrong := [name for name in self.names if not name or self.separator in name]:
            raise ValueError(
                f"a label has a name without the separator {self.separator!r}, got {wrong[0]!r}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The targets of a classification, of whichever kind, as a `Split` has them.

    known: what the preprocessing of a bundle says of them.

    Shapes:
        y: (N,) int64 class index; (N, labels) bool of a multilabel classification
    """

    y: Array
    task: TaskName
    outputs: int
    known: Mapping[str, Any]


def targets_of(y: Array, labels: LabelSet | None, task: TaskName) -> Targets:
    """
    task: that with one class a sample.
    labels: of a multilabel classification; None: `y` holds classes, which are in ascending order.

    Shapes:
        y: (N,) integers or strings; (N, labels) of 0 and 1
    Raises:
        ValueError: there are fewer than two classes, or a label that no sample has.
    """
    if labels is not None:
        matrix = matrix_of("y", y, labels)
        if (never := np.flatnonzero(~matrix.any(axis=0))).size:
            raise ValueError(f"no sample has the label {labels.names[never[0]]!r}")
        known = {"labels": list(labels.names), "labels_separator": labels.separator}
        return Targets(matrix, MULTILABEL, len(labels.names), known)
    classes, places = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"there is one class, {classes.tolist()[0]!r}; a classification needs two or more"
        )
    return Targets(places.astype(np.int64), task, len(classes), {"classes": classes.tolist()})


def matrix_of(name: str, y: Array, labels: LabelSet) -> NDArray[np.bool_]:
    """
    Raises:
        ValueError: it is no matrix of 0 and 1 with a column a label.
    """
    if y.ndim != 2 or y.shape[1] != len(labels.names):
        raise ValueError(f"{name} is (N, {len(labels.names)}), a column a label, got {y.shape}")
    if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} holds 0 and 1 alone: whether a sample has a label")
    return y.astype(np.bool_)
