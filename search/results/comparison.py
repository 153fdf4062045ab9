"""Two runs side by side, trial by trial: the best so far, and the difference with its interval.
Two settings side by side, search by search, each pair with another seed.

A run is the fitness of each trial that counts, in the order of asking; None where a trial has no
usable result. Bigger fitness is better, so a positive difference is in favour of the first run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, ttest_rel

Run = Sequence[float | None]

RESAMPLES = (100, 2000)
"""Least and most; between them, as many as make a million numbers."""

CONFIDENCE = 0.95
BATCH = 100


def best_so_far(run: Run) -> list[tuple[int, float]]:
    """(trials, best fitness of so many trials), once for each improvement."""
    steps: list[tuple[int, float]] = []
    for trials, score in enumerate(run, 1):
        if score is not None and (not steps or score > steps[-1][1]):
            steps.append((trials, score))
    return steps


def paired_difference(first: Run, second: Run, seed: int = 0) -> dict[str, Any] | None:
    """Trial k of one run against trial k of the other, as far as both go; None where one of them
    has no result.

    `final` is the difference of the best scores, `mean` the mean difference of the scores. A trial
    without a result counts as the worst score of both. `low` and `high` of the mean are the 2.5 %
    and 97.5 % percentiles over resamples of the pairs, drawn with replacement: how far the
    difference hangs on a few lucky trials. One search and one baseline are one seed each: the
    interval says nothing of other seeds, and it takes trials for exchangeable, which those of a
    strategy that learns are not. Null where there is but one pair.

    The best scores of one seed each are one number each, and have no interval: resamples of a
    maximum do not tell its distribution (Bickel and Freedman 1981,
    https://doi.org/10.1214/aos/1176345637, section 6).
    """
    trials = min(len(first), len(second))
    pairs = [run[:trials] for run in (first, second)]
    known = [score for run in pairs for score in run if score is not None]
    if any(all(score is None for score in run) for run in pairs):
        return None
    worst = min(known)
    x, y = (np.array([worst if score is None else score for score in run]) for run in pairs)

    low = high = None
    if trials > 1:
        interval = bootstrap(
            (x, y),
            _mean,
            paired=True,
            vectorized=True,
            n_resamples=min(max(10**6 // trials, RESAMPLES[0]), RESAMPLES[1]),
            batch=BATCH,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return {
        "trials": trials,
        "final": {"difference": float(x.max() - y.max()), "low": None, "high": None},
        "mean": {"difference": float(_mean(x, y)), "low": low, "high": high},
    }


def difference_over_seeds(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Result k of one setting against result k of the other, each of a search of its own.

    `difference` is the mean over the pairs, `low` and `high` its 95 % interval by Student's t, what
    another set of seeds may give; both null for a single pair. `better`: the number of pairs in
    which the first one is.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    differences = x - y
    low = high = None
    if np.ptp(differences) > 0:
        interval = ttest_rel(x, y).confidence_interval(CONFIDENCE)
        low, high = float(interval.low), float(interval.high)
    elif len(differences) > 1:  # as is known exactly, Student's t divides by a spread of zero
        low = high = float(differences[0])
    return {
        "seeds": len(differences),
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "better": int((differences > 0).sum()),
    }


def _mean(x: NDArray[np.float64], y: NDArray[np.float64], axis: int = -1) -> Any:
    return (x - y).mean(axis=axis)
