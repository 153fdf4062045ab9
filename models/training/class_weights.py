"""Classes that count the same in training, however many samples each has; so do labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def balanced(targets: Tensor, classes: int) -> Tensor:
    """N / (classes that occur * samples of the class), as in scikit-learn: their mean over the
    targets is 1. A class that does not occur has no sample to weigh: 0.

    King and Zeng, Political Analysis 2001.

    Shapes:
        targets: (N,) int64 -> (classes,) float32
    """
    counts = targets.bincount(minlength=classes).double()
    occurs = counts > 0
    weights = len(targets) / (occurs.sum() * counts.clamp(min=1))
    return (weights * occurs).float()


def weighted_cross_entropy(
    outputs: Tensor, targets: Tensor, weights: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """The mean over the samples of weight * cross-entropy: not over the weights, as torch has it,
    by which a batch without a rare class would count as much as one with it.

    Shapes:
        outputs: (N, classes) logits; targets: (N,) int64; weights: (classes,)
    """
    losses = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=label_smoothing)
    return (losses * weights[targets]).mean()


def balanced_labels(targets: Tensor) -> Tensor:
    """Each label as two classes of its own, those without it and those with it, by `balanced`: what
    has the label weighs (N - samples) / samples times what has not, as the `pos_weight` of torch
    says it, and the mean weight of every label is 1.

    Shapes:
        targets: (N, labels) bool -> (2, labels) float32
    """
    return torch.stack([balanced(label.long(), 2) for label in targets.T], dim=1)


def weighted_binary_cross_entropy(
    outputs: Tensor, targets: Tensor, weights: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """The mean over samples and labels of weight * binary cross-entropy, smoothed as
    `models.training.multilabel` has it.

    Shapes:
        outputs: (N, labels) logits; targets: (N, labels) bool; weights: (2, labels)
    """
    wanted = targets.to(outputs.dtype) * (1 - label_smoothing) + label_smoothing / 2
    own = torch.where(targets, weights[1], weights[0])
    return F.binary_cross_entropy_with_logits(outputs, wanted, weight=own)
