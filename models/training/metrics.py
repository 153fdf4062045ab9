"""What a task's network is trained to minimise and scored by, one entry a task.

Another task is another file of this package that registers its `Score`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.registry import Registry

Goal = Literal["maximize", "minimize"]


class Score(Protocol):
    """Sums over batches, so that a result does not depend on how a split is cut."""

    goals: ClassVar[dict[str, Goal]]
    """Each metric, without the prefix `val_` or `test_`; the first is the default objective."""

    def __init__(self, outputs: int, device: torch.device) -> None: ...

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, a scalar with gradient."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch. Does not wait for the device."""

    def compute(self) -> dict[str, float]:
        """The metrics of everything added."""


scores: Registry[type[Score]] = Registry("task", "models.training")


def metric_names(task_name: str) -> tuple[str, ...]:
    """The metrics of a task without prefix: `accuracy` is reported as `val_accuracy`.

    Raises:
        models.registry.UnknownNameError: no such task can be trained.
    """
    return tuple(scores[task_name].goals)


def default_metric(task_name: str) -> tuple[str, Goal]:
    """The metric, without prefix, that a search of this task optimises by default, and its goal.

    Raises:
        models.registry.UnknownNameError: no such task can be trained.
    """
    return next(iter(scores[task_name].goals.items()))


@scores.register("image_classification")
class ClassificationScore:
    """Cross-entropy, accuracy and macro F1.

    Shapes:
        outputs: (N, classes) logits; targets: (N,) int64

    F1 of a class is 2 TP / (2 TP + FP + FN). The macro mean is over the classes that occur among
    targets or predictions, as in scikit-learn.
    """

    goals: ClassVar[dict[str, Goal]] = {
        "accuracy": "maximize",
        "loss": "minimize",
        "f1": "maximize",
    }

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._classes = outputs
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._confusion = torch.zeros(outputs * outputs, dtype=torch.int64, device=device)

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy against (1 - epsilon) one-hot + epsilon / classes, Szegedy et al. 2016."""
        return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        losses = F.cross_entropy(outputs, targets, reduction="none")
        self._loss += losses.sum(dtype=torch.float64)
        cells = targets * self._classes + outputs.argmax(dim=1)
        self._confusion.index_add_(0, cells, torch.ones_like(cells))  # bincount waits for a GPU

    def compute(self) -> dict[str, float]:
        confusion = self._confusion.cpu().reshape(self._classes, self._classes).double()
        hits = confusion.diagonal()
        support = confusion.sum(dim=0) + confusion.sum(dim=1)  # 2 TP + FP + FN
        occurs = support > 0
        return {
            "accuracy": (hits.sum() / confusion.sum()).item(),
            "loss": self._loss.item() / confusion.sum().item(),
            "f1": (2 * hits[occurs] / support[occurs]).mean().item(),
        }
