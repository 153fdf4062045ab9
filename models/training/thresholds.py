"""The threshold between two classes, chosen for a metric of the decisions."""

from __future__ import annotations

import torch
from torch import Tensor

from models.training.confusion import DECISION_METRICS

MARGIN = "decision_margin"
"""The metric of a trial that tells the threshold: the second class is said where its output is
larger than the first's by more than this.
"""


def best_margin(outputs: Tensor, targets: Tensor, metric: str) -> float:
    """The threshold on the difference of the two outputs, midway between two samples, with the
    largest value of a metric of `DECISION_METRICS`; of several the nearest to 0, which is the class
    of the larger output. Lipton et al., ECML 2014, https://arxiv.org/abs/1402.1892, on why 0 is
    not the best one for F1.

    Shapes:
        outputs: (N, 2), N > 0; targets: (N,) int64
    """
    difference = (outputs[:, 1].double() - outputs[:, 0].double()).cpu()
    ordered, order = difference.sort()
    positive = targets.cpu()[order].double()
    ends = torch.tensor([1.0], dtype=torch.float64)
    middles = (ordered[1:] + ordered[:-1]) / 2
    cuts = torch.cat([ordered[:1] - ends, middles, ordered[-1:] + ends])
    apart = torch.cat([ends > 0, ordered[1:] > ordered[:-1], ends > 0])
    below = torch.arange(len(cuts), dtype=torch.float64)  # samples of which the first is said
    missed = torch.cat([0 * ends, positive.cumsum(0)])
    hits, others = positive.sum() - missed, below - missed
    rows = [others, (1 - positive).sum() - others, missed, hits]
    confusion = torch.stack(rows, dim=1).reshape(-1, 2, 2)
    values = DECISION_METRICS[metric](confusion).where(apart, torch.tensor(-1.0).double())
    found = cuts[values >= values.max() - 1e-12]
    at_zero = values[(difference <= 0).sum()]
    if at_zero >= values.max() - 1e-12:
        return 0.0
    return found[found.abs().argmin()].item()


def offsets_of(margin: float) -> list[float]:
    """Of the two outputs: with them the larger one decides as the threshold does."""
    return [0.0, -margin]
