"""Scores of a multilabel classification: any number of labels a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.datasets.decision import labels_said
from models.task import MULTILABEL
from models.training.collected import Collected
from models.training.metrics import Goal, scores
from models.training.ranking import areas_under_roc, average_precisions
from models.training.thresholds import best_label_offsets


@scores.register(MULTILABEL)
class MultilabelScore(Collected):
    """Binary cross-entropy, a mean over samples and labels; average precision, AUC and F1, each a
    macro mean over labels; and accuracy, the share of the samples all of whose labels are right.

    A label is said where its output and its one of `offsets` are 0 or more in all: from a
    probability of 1/2 on where that is 0. Where it `is_decided_here` offsets are those with the
    best F1 on what was added; there are many, so that `offsets` tells them, and not `chosen`, which
    stands in the curve of a trial. F1 is over the labels that occur among
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

    def __init__(
        self,
        outputs: int,
        device: torch.device,
        *,
        offsets: Sequence[float] | None = None,
        is_decided_here: bool = False,
    ) -> None:
        super().__init__()
        self._given, self._is_decided_here = list(offsets or [0.0] * outputs), is_decided_here
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def offsets(self) -> list[float]:
        if not self._is_decided_here:
            return self._given
        return best_label_offsets(self.outputs, self.targets)

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
        self._add(outputs, targets)

    def compute(self) -> dict[str, float]:
        outputs, targets = self.outputs, self.targets
        said = labels_said(outputs, self.offsets)
        doubled = 2 * (said & targets).sum(dim=0).double()
        support = said.sum(dim=0) + targets.sum(dim=0)  # 2 TP + FP + FN
        occurs = support > 0
        metrics = {
            "loss": self._loss.item() / targets.numel(),
            "accuracy": (said == targets).all(dim=1).double().mean().item(),
        }
        if occurs.any():
            metrics["f1"] = (doubled[occurs] / support[occurs]).mean().item()
        for name, found in (
            ("average_precision", average_precisions(outputs.T, targets.T)),
            ("auc", areas_under_roc(outputs.T, targets.T)),
        ):
            if len(found):
                metrics[name] = found.mean().item()
        return metrics
