"""Stops a trial whose learning curve hardly leads to the best ones: Baker et al., workshop of ICLR
2018, https://arxiv.org/abs/1705.10823, sections 3 and 5.1.

After an epoch, the completed trials say what such a curve still gains. A trial is stopped where the
probability that it ends among the best ones is small, with the error of the prediction normal, and
as large as it is for completed trials that were left out of the fit.

Deviations: a ridge regression on three features of the curve, where the paper has support vectors
on all values and on the architecture; left out one by one, in closed form, where it has folds; and
the best `top` where it has the best alone, since so many are retrained.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from search.fidelity import (
    CONTINUE,
    Action,
    FidelityRule,
    FidelitySettings,
    Verdict,
    fidelities,
    shown,
)
from search.objectives import Objective
from search.trial import Trial, TrialState

REMEMBERED = 500
"""Completed trials that a fit is made of, the latest ones."""

RIDGE = 1.0
"""Added to the diagonal for features of unit variance: as much as one more trial says."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Of the gain from an epoch to the end. `error`: standard deviation of what was left out."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    mean: float
    error: float

    def gain(self, features: Sequence[float]) -> float:
        standard = (np.asarray(features) - self.centre) / self.scale
        return self.mean + float(standard @ self.weights)


@fidelities.register("curve")
class CurvePrediction(FidelityRule):
    """Stops a trial whose learning curve, as far as curves of completed trials tell, hardly ends
    among the best.
    """

    class Settings(FidelitySettings):
        """When it begins to judge, and how sure it has to be."""

        probability: float = Field(
            0.05,
            gt=0,
            le=0.5,
            description="a trial is stopped where it ends among the best with less than this",
        )
        top: int = Field(3, ge=1, le=100, description="how many the best ones are")
        min_trials: int = Field(
            8, ge=5, le=100_000, description="completed trials before any trial is stopped"
        )
        grace_epochs: int = Field(
            1, ge=1, le=10_000, description="epochs that every trial is trained"
        )

    def __init__(self, settings: Settings, objective: Objective, max_epochs: int) -> None:
        self._settings, self._objective = settings, objective
        self._margin = NormalDist().inv_cdf(1 - settings.probability)
        self.rungs = range(settings.grace_epochs, max_epochs)
        self._values: dict[int, list[float]] = {}
        self._completed: deque[list[float]] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._best: list[float] = []  # a heap of the `top` best ends
        self._fits: dict[int, tuple[int, Fit | None]] = {}  # by epoch, of so many completed

    def started(self, number: int) -> None:
        self._values[number] = []

    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        values = self._values[number]
        values.append(value)
        if is_last or epoch not in self.rungs or self._count < self._settings.min_trials:
            return CONTINUE
        fit, known = self._fit(epoch), features(values)
        if fit is None or not all(map(math.isfinite, known)):
            return CONTINUE
        predicted = value + fit.gain(known)
        needed = self._best[0]
        if predicted + self._margin * fit.error >= needed:
            return CONTINUE
        return Verdict(
            Action.STOP,
            f"pruned by curve at epoch {epoch}: predicted to end at "
            f"{shown(self._objective, predicted)}, {fit.error:.2g} more or less; the best "
            f"{len(self._best)} of {self._count} begin at {shown(self._objective, needed)}",
        )

    def ended(self, trial: Trial) -> None:
        values = self._values.pop(trial.number)
        if trial.state is not TrialState.COMPLETED or not values:
            return
        if not all(map(math.isfinite, values)):
            return
        self._count += 1
        self._completed.append(values)
        if len(self._best) < self._settings.top:
            heappush(self._best, values[-1])
        else:
            heappushpop(self._best, values[-1])

    def _fit(self, epoch: int) -> Fit | None:
        """Of the completed trials that were trained for longer; None where they are few."""
        count, fit = self._fits.get(epoch, (-1, None))
        if count != self._count:
            longer = [values for values in self._completed if len(values) > epoch]
            fit = fitted(longer, epoch) if len(longer) >= self._settings.min_trials else None
            self._fits[epoch] = self._count, fit
        return fit


def features(values: Sequence[float]) -> tuple[float, float, float]:
    """Of a curve so far: its last value, its best, and the slope an epoch over its second half."""
    half = (len(values) - 1) // 2
    steps = len(values) - 1 - half
    slope = (values[-1] - values[half]) / steps if steps else 0.0
    return values[-1], max(values), slope


def fitted(curves: Sequence[Sequence[float]], epoch: int) -> Fit:
    """Hoerl and Kennard 1970; what is left out by the diagonal of the hat matrix (Allen 1974)."""
    x = np.array([features(values[:epoch]) for values in curves])
    gains = np.array([values[-1] - values[epoch - 1] for values in curves])
    centre, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standard = (x - centre) / scale
    inverse = np.linalg.inv(standard.T @ standard + RIDGE * np.eye(x.shape[1]))
    mean = float(gains.mean())
    weights = inverse @ standard.T @ (gains - mean)
    hat = np.einsum("ij,jk,ik->i", standard, inverse, standard) + 1 / len(curves)
    residuals = (gains - mean - standard @ weights) / (1 - hat)
    return Fit(centre, scale, weights, mean, float(np.sqrt(np.mean(residuals**2))))
