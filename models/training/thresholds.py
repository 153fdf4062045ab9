"""How outputs become decisions, chosen for a metric of them: a threshold between two classes, one
number for more of them, and a threshold of each label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.training.confusion import DECISION_METRICS, confusion_of, positive_f1

MARGIN = "decision_margin"
"""The metric of a trial that tells the threshold: the second class is said where its output is
larger than the first's by more than this.
"""

ADJUSTMENT = "decision_adjustment"
"""The metric of a trial with more than two classes: how many times the logarithm of the share that
each class has of the train split is taken from its output.
"""

OFFSET = "decision_offset_"
"""Before the place of a label: the metric of a final trial that tells what is added to its output;
the label is said where the sum is 0 or more.
"""

_ADJUSTMENTS = tuple(tenths / 10 for tenths in range(21))
_EQUAL = 1e-12
"""Values of a metric that differ by less are one."""


def best_margin(outputs: Tensor, targets: Tensor, metric: str) -> float:
    """The threshold on the difference of the two outputs, midway between two samples, with the
    largest value of a metric of `DECISION_METRICS`; of several the nearest to 0, which is the class
    of the larger output. Lipton et al., ECML 2014, https://arxiv.org/abs/1402.1892, on why 0 is
    not the best one for F1.

    Shapes:
        outputs: (N, 2), N > 0; targets: (N,) int64
    """
    difference = (outputs[:, 1].double() - outputs[:, 0].double()).cpu()
    below = int((difference <= 0).sum())
    return _best_cut(difference, targets.cpu() == 1, DECISION_METRICS[metric], below)


def best_label_offsets(outputs: Tensor, targets: Tensor) -> list[float]:
    """Of each label the offset with the largest F1, midway between two samples; of several the
    nearest to 0. Their mean is largest where each of them is: Lipton et al. 2014, section 3. A
    label that no sample has, or every one, keeps 0.

    Shapes:
        outputs: (N, labels), N > 0; targets: (N, labels) bool
    """
    offsets = []
    for scores, has in zip(outputs.double().cpu().T, targets.cpu().T, strict=True):
        if has.any() and not has.all():
            cut = _best_cut(scores, has, positive_f1, int((scores < 0).sum()))
            offsets.append(-cut if cut else 0.0)
        else:
            offsets.append(0.0)
    return offsets


def best_adjustment(outputs: Tensor, targets: Tensor, metric: str, log_shares: Tensor) -> float:
    """The tau, in tenths from 0 to 2, by which the largest of `adjusted` outputs has the largest
    value of a metric of `DECISION_METRICS`; of several the least. Menon et al., ICLR 2021,
    https://arxiv.org/abs/2007.07314, section 4.1: with 1 the largest is the class whose recall is
    wanted most where all recalls count the same.

    Shapes:
        outputs: (N, classes), N > 0; targets: (N,) int64; log_shares: (classes,)
    """
    z, true, log_shares = outputs.double().cpu(), targets.cpu(), log_shares.cpu()

    def value(tau: float) -> float:
        said = (z - tau * log_shares).argmax(dim=1)
        return DECISION_METRICS[metric](confusion_of(true, said, z.shape[1])).item()

    values = [value(tau) for tau in _ADJUSTMENTS]
    best = max(values) - _EQUAL
    return next(tau for tau, found in zip(_ADJUSTMENTS, values, strict=True) if found >= best)


def log_shares(targets: Tensor, classes: int) -> Tensor:
    """Of each class among the targets of the train split; one that is not there counts as one
    sample.

    Shapes:
        (N,) int64 -> (classes,) float64, on the CPU
    """
    counts = targets.cpu().bincount(minlength=classes).clamp(min=1)
    return (counts / len(targets)).double().log()


def offsets_of(
    chosen: Mapping[str, float], outputs: int, log_shares: Tensor | None = None
) -> list[float]:
    """What is added to each output before it is decided, by what a trial tells among its metrics; 0
    where nothing was chosen. `log_shares`: of the classes, where there are any.
    """
    if MARGIN in chosen:
        return [0.0, -chosen[MARGIN]]
    if log_shares is not None and chosen.get(ADJUSTMENT):
        shifts: list[float] = (-chosen[ADJUSTMENT] * log_shares).tolist()
        return shifts
    return [chosen.get(f"{OFFSET}{place}", 0.0) for place in range(outputs)]


def told_offsets(offsets: list[float]) -> dict[str, float]:
    """The offsets of labels as metrics of a trial."""
    return {f"{OFFSET}{place}": value for place, value in enumerate(offsets)}


def _best_cut(
    scores: Tensor, positive: Tensor, value: Callable[[Tensor], Tensor], below_zero: int
) -> float:
    """The number, midway between two scores, above which a sample counts as positive with the
    largest value; of several the nearest to 0, by which `below_zero` samples do not.

    value: of (cuts, 2, 2) counts, by what is true, then by what is said.

    Shapes:
        scores: (N,) float64; positive: (N,) bool
    """
    ordered, order = scores.sort()
    is_positive = positive[order].double()
    ends = torch.tensor([1.0], dtype=torch.float64)
    middles = (ordered[1:] + ordered[:-1]) / 2
    cuts = torch.cat([ordered[:1] - ends, middles, ordered[-1:] + ends])
    apart = torch.cat([ends > 0, ordered[1:] > ordered[:-1], ends > 0])
    below = torch.arange(len(cuts), dtype=torch.float64)
    missed = torch.cat([0 * ends, is_positive.cumsum(0)])
    hits, others = is_positive.sum() - missed, below - missed
    rows = [others, (1 - is_positive).sum() - others, missed, hits]
    confusion = torch.stack(rows, dim=1).reshape(-1, 2, 2)
    values = value(confusion).where(apart, torch.tensor(-1.0).double())
    found = cuts[values >= values.max() - _EQUAL]
    if values[below_zero] >= values.max() - _EQUAL:
        return 0.0
    return found[found.abs().argmin()].item()
