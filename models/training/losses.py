"""What training minimises of values, by the name in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from models.recipe import Recipe

ValueLoss = Callable[[Tensor, Tensor], Tensor]
"""The mean loss of outputs and targets of one shape, a scalar."""


def value_loss(recipe: Recipe) -> ValueLoss:
    """The recipe's loss of values that are standardised, or transformed."""
    losses: dict[str, ValueLoss] = {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": F.huber_loss,
        "quantile": partial(pinball, level=recipe.quantile_level),
    }
    return losses[recipe.loss]


def pinball(outputs: Tensor, targets: Tensor, level: float) -> Tensor:
    """Least at the quantile `level` of the targets; half of the absolute error at the median.

    Koenker and Bassett, Econometrica 1978, equation 1.2.
    """
    errors = targets - outputs
    return torch.maximum(level * errors, (level - 1) * errors).mean()
