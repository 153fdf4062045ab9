"""Metrics of decisions: of how often each class was said where which was true."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def confusion_of(targets: Tensor, said: Tensor, classes: int) -> Tensor:
    """Counts by true class, then by the one that was said.

    Shapes:
        two of (N,) int64 -> (classes, classes) float64, on the CPU
    """
    cells = targets * classes + said
    counts = torch.bincount(cells.cpu(), minlength=classes * classes)
    return counts.reshape(classes, classes).double()


def macro_f1(confusion: Tensor) -> Tensor:
    """The mean of 2 TP / (2 TP + FP + FN) over the classes that occur among targets or decisions,
    as in scikit-learn.

    Shapes:
        (..., classes, classes) -> (...)
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return _mean(2 * hits, confusion.sum(dim=-2) + confusion.sum(dim=-1))


def positive_f1(confusion: Tensor) -> Tensor:
    """2 TP / (2 TP + FP + FN) of the second of two classes; 0 where neither target nor decision is
    of it.

    Shapes:
        (..., 2, 2) -> (...)
    """
    doubled = 2 * confusion[..., 1, 1]
    return doubled / (doubled + confusion[..., 0, 1] + confusion[..., 1, 0]).clamp(min=1)


def balanced_accuracy(confusion: Tensor) -> Tensor:
    """The mean recall of the classes that occur among targets, as in scikit-learn; Brodersen et
    al., ICPR 2010.

    Shapes:
        (..., classes, classes) -> (...)
    """
    return _mean(confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(dim=-1))


def _mean(hits: Tensor, support: Tensor) -> Tensor:
    """Of hits / support, where there is any."""
    shares = torch.where(support > 0, hits / support, 0.0)
    return shares.sum(dim=-1) / (support > 0).sum(dim=-1)


DECISION_METRICS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
}
"""Those that another threshold than the larger output serves better."""
