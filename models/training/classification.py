"""Scores of a classification: one class a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.datasets.decision import decided
from models.training.collected import Collected
from models.training.confusion import balanced_accuracy, confusion_of, macro_f1
from models.training.metrics import Goal, scores
from models.training.ranking import areas_under_roc, average_precisions
from models.training.thresholds import (
    ADJUSTMENT,
    MARGIN,
    best_adjustment,
    best_margin,
    offsets_of,
)


@scores.register("tabular_classification")
@scores.register("image_classification")
@scores.register("sequence_classification")
@scores.register("text_classification")
@scores.register("node_classification")
@scores.register("graph_classification")
class ClassificationScore(Collected):
    """Cross-entropy, accuracy, macro F1, macro AUC, balanced accuracy and average precision.

    A class is decided for by the largest output, each moved by its class's `offsets`, or by those
    with which `best_for`, a metric of `models.training.confusion.DECISION_METRICS`, is largest on
    what was added (`models.training.thresholds`); `chosen` then tells what they follow from.
    `log_shares`: of the classes in the train split, for more than two.

    Shapes:
        outputs: (N, classes) logits; targets: (N,) int64
    """

    ignores: ClassVar[frozenset[str]] = frozenset()
    goals: ClassVar[dict[str, Goal]] = {
        "accuracy": "maximize",
        "loss": "minimize",
        "f1": "maximize",
        "auc": "maximize",
        "balanced_accuracy": "maximize",
        "average_precision": "maximize",
    }

    def __init__(
        self,
        outputs: int,
        device: torch.device,
        *,
        offsets: Sequence[float] | None = None,
        best_for: str | None = None,
        log_shares: Tensor | None = None,
    ) -> None:
        if best_for and outputs > 2 and log_shares is None:
            raise ValueError(
                f"{outputs} classes are decided for by their shares, which are missing"
            )
        super().__init__()
        self._classes, self._best_for, self._log_shares = outputs, best_for, log_shares
        self._offsets = offsets or [0.0] * outputs
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def chosen(self) -> Mapping[str, float]:
        if self._best_for is None:
            return {}
        if self._log_shares is None:
            return {MARGIN: best_margin(self.outputs, self.targets, self._best_for)}
        found = best_adjustment(self.outputs, self.targets, self._best_for, self._log_shares)
        return {ADJUSTMENT: found}

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy against (1 - epsilon) one-hot + epsilon / classes, Szegedy et al. 2016."""
        return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        losses = F.cross_entropy(outputs, targets, reduction="none")
        self._loss += losses.sum(dtype=torch.float64)
        self._add(outputs, targets)

    def compute(self) -> dict[str, float]:
        outputs, targets, offsets = self.outputs, self.targets, self._offsets
        if self._best_for is not None:
            offsets = offsets_of(self.chosen, self._classes, self._log_shares)
        said = decided(outputs, offsets)
        confusion = confusion_of(targets, said, self._classes)
        shares = outputs.double().softmax(dim=1)
        metrics = {
            "accuracy": (confusion.diagonal().sum() / len(targets)).item(),
            "loss": self._loss.item() / len(targets),
            "f1": macro_f1(confusion).item(),
            "auc": area_under_curve(shares, targets),
            "balanced_accuracy": balanced_accuracy(confusion).item(),
            "average_precision": average_precision(shares, targets),
        }
        return {name: value for name, value in metrics.items() if value is not None}


def area_under_curve(probabilities: Tensor, targets: Tensor) -> float | None:
    """Macro mean over the classes of the area under the ROC curve of one class against the rest.

    A class that no sample or every sample has, has none; None where no class has one.

    Shapes:
        probabilities: (N, classes); targets: (N,) int64
    """
    areas = areas_under_roc(probabilities.T, _one_hot(targets, probabilities.shape[1]))
    return areas.mean().item() if len(areas) else None


def average_precision(probabilities: Tensor, targets: Tensor) -> float | None:
    """Of two classes that of the second one; of more the macro mean of one against the rest.

    It is the sum of (R_n - R_n-1) P_n over the thresholds, without interpolation, as in
    scikit-learn. A class that no sample has, has none; None where no class has one, or every sample
    is of one class.

    Shapes:
        probabilities: (N, classes); targets: (N,) int64
    """
    classes = probabilities.shape[1]
    is_class = _one_hot(targets, classes)
    if is_class.all(dim=1).any():
        return None
    first = 1 if classes == 2 else 0
    found = average_precisions(probabilities.T[first:], is_class[first:])
    return found.mean().item() if len(found) else None


def _one_hot(targets: Tensor, classes: int) -> Tensor:
    """Whether a sample is of a class.

    Shapes:
        (N,) -> (classes, N) bool
    """
    return torch.arange(classes, device=targets.device)[:, None] == targets
