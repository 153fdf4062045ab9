"""Gradient health: is a run learning, vanishing or exploding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The 2-norm of all gradients as one vector, a scalar on their device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients, foreach=True)


HEALTH = ("gradient_norm_first", "gradient_norm_last", "gradient_nonfinite_share")
"""The metrics of `health`, in its order."""


def health(network_weights: Sequence[nn.Parameter]) -> list[Tensor]:
    """Norms of the gradients of the first and the last layer's weight, and the share of gradient
    values that are NaN or infinite, each a scalar on their device.

    Reads the gradients as they are, so it is called once an epoch. A weight without a gradient
    counts as one of norm 0. `network_weights` are in the network's order.
    """
    norms, nonfinite, total = [], [], 0
    for weight in network_weights:
        total += weight.numel()
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        norms.append(torch.linalg.vector_norm(gradient.float()))
        nonfinite.append(gradient.isfinite().logical_not().sum())
    if not network_weights:
        return [torch.zeros(())] * len(HEALTH)
    return [norms[0], norms[-1], torch.stack(nonfinite).sum() / total]
