"""Scores of a classification: one class a sample."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.metrics import Goal, scores
from models.training.ranking import areas_under_roc


@scores.register("tabular_classification")
@scores.register("image_classification")
@scores.register("sequence_classification")
@scores.register("text_classification")
@scores.register("node_classification")
@scores.register("graph_classification")
class ClassificationScore:
    """Cross-entropy, accuracy, macro F1 and macro AUC.

    Shapes:
        outputs: (N, classes) logits; targets: (N,) int64

    F1 of a class is 2 TP / (2 TP + FP + FN). The macro mean is over the classes that occur among
    targets or predictions, as in scikit-learn. AUC: see `area_under_curve`.
    """

    ignores: ClassVar[frozenset[str]] = frozenset()
    goals: ClassVar[dict[str, Goal]] = {
        "accuracy": "maximize",
        "loss": "minimize",
        "f1": "maximize",
        "auc": "maximize",
    }

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._classes = outputs
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._confusion = torch.zeros(outputs * outputs, dtype=torch.int64, device=device)
        self._probabilities: list[Tensor] = []
        self._targets: list[Tensor] = []

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy against (1 - epsilon) one-hot + epsilon / classes, Szegedy et al. 2016."""
        return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        losses = F.cross_entropy(outputs, targets, reduction="none")
        self._loss += losses.sum(dtype=torch.float64)
        cells = targets * self._classes + outputs.argmax(dim=1)
        self._confusion.index_add_(0, cells, torch.ones_like(cells))  # bincount waits for a GPU
        self._probabilities.append(outputs.detach().double().softmax(dim=1))
        self._targets.append(targets)

    def compute(self) -> dict[str, float]:
        confusion = self._confusion.cpu().reshape(self._classes, self._classes).double()
        hits = confusion.diagonal()
        support = confusion.sum(dim=0) + confusion.sum(dim=1)  # 2 TP + FP + FN
        occurs = support > 0
        metrics = {
            "accuracy": (hits.sum() / confusion.sum()).item(),
            "loss": self._loss.item() / confusion.sum().item(),
            "f1": (2 * hits[occurs] / support[occurs]).mean().item(),
        }
        auc = area_under_curve(torch.cat(self._probabilities), torch.cat(self._targets))
        return metrics if auc is None else metrics | {"auc": auc}


def area_under_curve(probabilities: Tensor, targets: Tensor) -> float | None:
    """Macro mean over the classes of the area under the ROC curve of one class against the rest.

    A class that no sample or every sample has, has none; None where no class has one.

    Shapes:
        probabilities: (N, classes); targets: (N,) int64
    """
    is_class = torch.arange(probabilities.shape[1], device=targets.device)[:, None] == targets
    areas = areas_under_roc(probabilities.T, is_class)
    return areas.mean().item() if len(areas) else None
