"""Scores of a regression: one or more numbers a sample."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.losses import ValueLoss
from models.training.metrics import Goal, scores
from models.training.values import Values


@scores.register("tabular_regression")
@scores.register("forecasting")
class RegressionScore:
    """Errors of values, a mean over samples and over the steps of a forecast, then over the values.

    `mse` is in squares of the deviation on the train split, so that 1 is the score of its mean,
    whatever the unit. `mae` and `rmse`, its root, are in the target's own unit where `values` know
    it, else in that of the targets. `r2` is the share of the variance that is explained, missing
    where one of the values does not vary: Glantz and Slinker 2001, as in scikit-learn. `loss` is
    what training minimises, of the values as it sees them.

    Shapes:
        outputs, targets: (N, steps * values) float32; targets standardised
    """

    goals: ClassVar[dict[str, Goal]] = {
        "mse": "minimize",
        "mae": "minimize",
        "rmse": "minimize",
        "r2": "maximize",
        "loss": "minimize",
    }
    chosen: Mapping[str, float] = MappingProxyType({})
    ignores: ClassVar[frozenset[str]] = frozenset({"label_smoothing"})

    def __init__(
        self,
        outputs: int,
        device: torch.device,
        values: Values | None = None,
        loss: ValueLoss = F.mse_loss,
    ) -> None:
        self._values = values or Values.standardised(outputs)
        self._of_batch, self._loss = loss, torch.zeros((), dtype=torch.float64, device=device)
        self._count = 0
        columns = len(self._values.target["names"])
        self._sums = torch.zeros(4, columns, dtype=torch.float64, device=device)

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Label smoothing is for labels: it does nothing here."""
        return F.mse_loss(outputs, targets)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        y = targets.double()
        errors = self._values.decoded(outputs) - y
        columns = self._sums.shape[1]
        parts = torch.stack([errors.square(), errors.abs(), y, y.square()])
        self._sums += parts.reshape(4, -1, columns).sum(dim=1)
        encoded = self._values.encoded(targets)
        self._loss += self._of_batch(outputs.double(), encoded.double()) * targets.numel()
        self._count += targets.numel()

    def compute(self) -> dict[str, float]:
        count = self._count / self._sums.shape[1]  # of each value
        squared, absolute, sums, squares = self._sums.cpu()
        units = self._values.units
        metrics = {
            "mse": (squared.sum() / self._count).item(),
            "mae": (absolute / count * units).mean().item(),
            "rmse": ((squared / count).sqrt() * units).mean().item(),
        }
        variation = squares - sums.square() / count
        if bool((variation > 1e-12 * squares).all()):
            metrics["r2"] = (1 - squared / variation).mean().item()
        return {**metrics, "loss": self._loss.item() / self._count}
