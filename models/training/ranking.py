"""How well scores put the samples of a class before the others, of many classes at once.

Shapes:
    scores: (classes, N); is_positive: (classes, N) bool
"""

from __future__ import annotations

import torch
from torch import Tensor


def areas_under_roc(scores: Tensor, is_positive: Tensor) -> Tensor:
    """The areas under the ROC curves of the classes that some samples have and some have not.

    An area is the Mann-Whitney statistic: how often a sample of the class has a higher score than
    another one, a tie counting half; Hanley and McNeil, Radiology 1982.

    Shapes:
        (classes that have one,) float64
    """
    scores, is_positive = scores.contiguous(), is_positive.contiguous()
    ordered = scores.sort(dim=1).values
    below = torch.searchsorted(ordered, scores)
    ranks = (below + torch.searchsorted(ordered, scores, right=True) + 1).double() / 2
    positives = is_positive.sum(dim=1)
    pairs = positives * (is_positive.shape[1] - positives)
    wins = torch.where(is_positive, ranks, 0.0).sum(dim=1) - positives * (positives + 1) / 2
    return wins[pairs > 0] / pairs[pairs > 0]


def average_precisions(scores: Tensor, is_positive: Tensor) -> Tensor:
    """The average precisions of the classes that a sample has: the mean, over the samples of a
    class, of the share of it among all that have as high a score or a higher one.

    Shapes:
        (classes that have one,) float64
    """
    scores, is_positive, count = scores.contiguous(), is_positive.contiguous(), scores.shape[1]
    reached = count - torch.searchsorted(scores.sort(dim=1).values, scores)
    of_class = torch.where(is_positive, scores, -torch.inf).sort(dim=1).values
    hits = count - torch.searchsorted(of_class, scores)
    precisions = torch.where(is_positive, hits.double() / reached, 0.0)
    positives = is_positive.sum(dim=1)
    return precisions.sum(dim=1)[positives > 0] / positives[positives > 0]
