"""Zero-cost scores of candidates, as a request names them and as a predictor sees them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from scipy.stats import norm

from models.proxies import proxies
from search.problems import shown
from search.trial import Candidate

Matrix = NDArray[np.float64]

Scorer = Callable[[Candidate], Mapping[str, float]]
"""Scores by the proxy's name: a function of the candidate alone. A score may be infinite or NaN;
raises `models.family.InfeasibleError` where no network can be built.
"""


def _known(name: str) -> str:
    if name not in proxies:
        raise ValueError(f"unknown proxy {shown(name)}, known are {', '.join(proxies)}")
    return name


ProxyName = Annotated[str, Field(max_length=64), AfterValidator(_known)]


def scores_of(candidate: Candidate, names: Sequence[str], scorer: Scorer) -> tuple[float, ...]:
    """One a proxy; minus infinity where it has nothing to say, or there is no network to score."""
    try:
        found = scorer(candidate)
    except Exception:  # of this candidate alone: whoever trains it will say why
        return (-math.inf,) * len(names)
    return tuple(-math.inf if math.isnan(found[name]) else found[name] for name in names)


def standard_scores(scores: Matrix, known: Matrix) -> Matrix:
    """Normal quantiles of the places of `scores` among the `known` ones, column by column: proxies
    differ in units by powers of ten, and some are infinite. 0 is the median.

    Shapes:
        scores: (N, proxies); known: (M, proxies) -> (N, proxies)
    """
    standard = np.zeros(scores.shape)
    for column in range(scores.shape[1]):
        ranked = np.sort(known[:, column])
        below = np.searchsorted(ranked, scores[:, column], side="left")
        not_above = np.searchsorted(ranked, scores[:, column], side="right")
        standard[:, column] = norm.ppf(((below + not_above) / 2 + 0.5) / (len(ranked) + 1))
    return standard
