"""Scores of a multilabel classification: any number of labels a sample."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.task import MULTILABEL
from models.training.metrics import Goal, scores
from models.training.ranking import areas_under_roc, average_precisions


@scores.register(MULTILABEL)
class MultilabelScore:
    """Binary cross-entropy, a mean over samples and labels; average precision, AUC and F1, each a
    macro mean over labels; and accuracy, the share of the samples all of whose labels are right.

    A label is predicted from a probability of 1/2 on. F1 is over the labels that occur among
    targets or predictions; average precision over those that a sample has, AUC over those that
    some samples have and some have not. Where there is no such label the metric is missing.

    Shapes:
        outputs: (N, labels) logits; targets: (N, labels) bool
    """

    chosen: Mapping[str, float] = MappingProxyType({})
    ignores: ClassVar[frozenset[str]] = frozenset()
    goals: ClassVar[dict[str, Goal]] = {
        "average_precision": "maximize",
        "loss": "minimize",
        "f1": "maximize",
        "auc": "maximize",
        "accuracy": "maximize",
    }

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._exact = torch.zeros((), dtype=torch.int64, device=device)
        self._counts = torch.zeros(2, outputs, dtype=torch.int64, device=device)
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Against (1 - epsilon) y + epsilon / 2, a label being two classes; Szegedy et al. 2016."""
        wanted = targets.to(outputs.dtype) * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, wanted)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        losses = F.binary_cross_entropy_with_logits(
            outputs, targets.to(outputs.dtype), reduction="none"
        )
        self._loss += losses.sum(dtype=torch.float64)
        predicted = outputs >= 0
        self._exact += (predicted == targets).all(dim=1).sum()
        hits = (predicted & targets).sum(dim=0)
        self._counts += torch.stack([2 * hits, predicted.sum(dim=0) + targets.sum(dim=0)])
        self._outputs.append(outputs.detach())
        self._targets.append(targets)

    def compute(self) -> dict[str, float]:
        outputs, targets = torch.cat(self._outputs).T, torch.cat(self._targets).T
        doubled, support = self._counts.cpu().double()  # 2 TP, and 2 TP + FP + FN
        occurs = support > 0
        metrics = {
            "loss": self._loss.item() / targets.numel(),
            "accuracy": self._exact.item() / targets.shape[1],
        }
        if occurs.any():
            metrics["f1"] = (doubled[occurs] / support[occurs]).mean().item()
        for name, found in (
            ("average_precision", average_precisions(outputs, targets)),
            ("auc", areas_under_roc(outputs, targets)),
        ):
            if len(found):
                metrics[name] = found.mean().item()
        return metrics
