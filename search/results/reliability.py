"""How far the order of a search can be trusted: its finals train the best again and again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.stats import spearmanr

LEAST_RANKED = 3


def reliability(scores: Sequence[tuple[float, Sequence[float]]]) -> dict[str, float | None] | None:
    """Of one score: that of the search and those of the final runs, of each candidate that has
    some; None without any.

    spearman: between search scores and means of final scores; None for fewer than three candidates,
        or where all are equal in one of them.
    noise: standard deviation of a repeat, pooled over the candidates; None without repeats.
    spread: sample standard deviation of the means between candidates; None for one. A spread that
        is no larger than the noise says that the order is one of luck.
    """
    retrained = [(score, runs) for score, runs in scores if runs]
    if not retrained:
        return None
    searched = [score for score, _ in retrained]
    means = [statistics.fmean(runs) for _, runs in retrained]
    ranked = len(means) >= LEAST_RANKED and len(set(searched)) > 1 and len(set(means)) > 1
    freedom = sum(len(runs) - 1 for _, runs in retrained)
    squares = sum(
        (run - mean) ** 2 for mean, (_, runs) in zip(means, retrained, strict=True) for run in runs
    )
    return {
        "candidates": len(means),
        "spearman": float(spearmanr(searched, means).statistic) if ranked else None,
        "noise": math.sqrt(squares / freedom) if freedom else None,
        "spread": statistics.stdev(means) if len(means) > 1 else None,
    }
