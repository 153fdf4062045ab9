"""Scores of a regression: one or more numbers a sample."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.metrics import Goal, scores


@scores.register("tabular_regression")
@scores.register("forecasting")
class RegressionScore:
    """Mean squared error, which is the loss, and mean absolute error, over samples and outputs.

    Targets are standardised on the train split, so that 1 is the squared error of its mean.

    Shapes:
        outputs, targets: (N, outputs) float32
    """

    goals: ClassVar[dict[str, Goal]] = {"mse": "minimize", "mae": "minimize", "loss": "minimize"}
    ignores: ClassVar[frozenset[str]] = frozenset({"label_smoothing"})

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._squared = torch.zeros((), dtype=torch.float64, device=device)
        self._absolute = torch.zeros((), dtype=torch.float64, device=device)
        self._count = 0

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Label smoothing is for labels: it does nothing here."""
        return F.mse_loss(outputs, targets)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        errors = outputs.double() - targets.double()
        self._squared += errors.square().sum()
        self._absolute += errors.abs().sum()
        self._count += errors.numel()

    def compute(self) -> dict[str, float]:
        squared = self._squared.item() / self._count
        return {"mse": squared, "mae": self._absolute.item() / self._count, "loss": squared}
