"""How sure a classifier is, held against how often it is right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = "temperature"
"""The metric of a final trial by which the outputs are divided before they become probabilities."""

COLDEST, HOTTEST = 0.05, 20.0
BINS = 15


def temperature(outputs: Tensor, targets: Tensor) -> float:
    """The T with which softmax(outputs / T) has the least negative log-likelihood: Guo et al.,
    ICML 2017, https://arxiv.org/abs/1706.04599, section 4.2.

    The loss is convex in 1 / T, so that its slope, mean(E[output] - output of the true class), has
    one root, found by bisection. Without a root above `COLDEST`, as where every sample is right
    with room to spare, the samples say nothing of T: 1. At most `HOTTEST`.

    Shapes:
        outputs: (N, classes), N > 0; targets: (N,) int64
    """
    z = outputs.double()
    true = z.gather(1, targets[:, None]).squeeze(1)

    def slope(logarithm: float) -> float:
        shares = (z / math.exp(logarithm)).softmax(dim=1)
        return ((shares * z).sum(dim=1) - true).mean().item()

    low, high = math.log(COLDEST), math.log(HOTTEST)
    if not slope(low) > 0:
        return 1.0
    if slope(high) > 0:
        return HOTTEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return math.exp(low)


def of_labels(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Each label of each sample as a choice of two, not to have it and to have it, for the two
    functions of this module: of them softmax is the label's probability, also where both are
    divided by a temperature.

    Shapes:
        outputs: (N, labels) logits -> (N * labels, 2); targets: (N, labels) bool -> (N * labels,)
    """
    logits = outputs.flatten()
    return torch.stack([torch.zeros_like(logits), logits], dim=1), targets.flatten().long()


def calibration_error(probabilities: Tensor, targets: Tensor) -> float:
    """Expected calibration error: the mean over the samples of |accuracy - confidence| of their
    bin, of `BINS` of equal width (m / M, (m + 1) / M]; confidence is the largest probability. Guo
    et al. 2017, equation 3.

    Shapes:
        probabilities: (N, classes), N > 0; targets: (N,) int64
    """
    confidence, said = probabilities.double().max(dim=1)
    places = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64, device=probabilities.device)
    gaps.index_add_(0, places, (said == targets).double() - confidence)
    return (gaps.abs().sum() / len(targets)).item()
