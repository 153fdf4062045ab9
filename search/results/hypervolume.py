"""Hypervolume, Zitzler and Thiele, PPSN 1998: how much of the objectives' space is dominated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Points = NDArray[np.float64]

EXACT_OBJECTIVES = 3
SAMPLES = 12
"""Of more objectives, 2 ** 12 points of a Sobol sequence estimate the volume to about 1 %."""


def hypervolume(points: Points, reference: Points) -> float:
    """The volume between `reference` and the points that are better in every objective, exactly,
    by slicing along one objective after another (While et al., 2006). Bigger values are better.

    Shapes:
        points: (N, objectives); reference: (objectives,)
    """
    above = np.asarray(points, dtype=np.float64) - reference
    return _volume(above[(above > 0).all(axis=1)])


def hypervolume_course(fitness: Sequence[tuple[float, ...]]) -> Iterator[tuple[int, float]]:
    """(index, hypervolume) of each result that made it grow, in the order of `fitness`.

    Volumes are shares of the box between the worst and the best value of each objective, so that
    they are in 0..1, never fall, and do not depend on units.
    """
    if not fitness:
        return
    points = np.array(fitness, dtype=np.float64)
    worst, extent = points.min(axis=0), np.ptp(points, axis=0)
    shares = np.where(extent > 0, (points - worst) / np.where(extent > 0, extent, 1.0), 1.0)
    volume = _Exact() if points.shape[1] <= EXACT_OBJECTIVES else _Estimated(points.shape[1])
    last = 0.0
    for index, share in enumerate(shares):
        value = volume.with_point(share)
        if value > last:
            last = value
            yield index, value


class _Exact:
    """Of the front so far."""

    def __init__(self) -> None:
        self._front: list[Points] = []
        self._value = 0.0

    def with_point(self, point: Points) -> float:
        front = np.array(self._front).reshape(len(self._front), len(point))
        if not (front >= point).all(axis=1).any():
            self._front = [*front[~(front <= point).all(axis=1)], point]
            self._value = hypervolume(np.array(self._front), np.zeros(len(point)))
        return self._value


class _Estimated:
    """The share of the points of a sequence that are dominated."""

    def __init__(self, objectives: int) -> None:
        corners = qmc.Sobol(objectives, scramble=False).random_base2(SAMPLES)
        self._left: Points = corners + 0.5**SAMPLES / 2  # from the corner of its cell to the middle

    def with_point(self, point: Points) -> float:
        self._left = self._left[~(self._left <= point).all(axis=1)]
        return 1.0 - len(self._left) / float(2**SAMPLES)


def _volume(points: Points) -> float:
    """Above the origin."""
    if points.shape[1] == 1:
        return float(points.max(initial=0.0))
    points = points[np.argsort(-points[:, -1], kind="stable")]
    depths = -np.diff(points[:, -1], append=0.0)
    if points.shape[1] == 2:
        return float(depths @ np.maximum.accumulate(points[:, 0])) if len(points) else 0.0
    return math.fsum(
        float(depth) * _volume(points[: count + 1, :-1])
        for count, depth in enumerate(depths)
        if depth > 0
    )
