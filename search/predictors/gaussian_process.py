"""Gaussian-process regression with a Matern 5/2 kernel: Rasmussen & Williams, 2006, chapter 2.

Points are sparse features by name. A point may have trends beside them, numbers in which the
function is linear: explicit basis functions, section 2.7, whose coefficients have a normal prior
(equation 2.40). The length scale, the noise and the variance of the coefficients are those of the
largest marginal likelihood (equation 2.30) on a grid; the signal variance then has a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array
from threadpoolctl import ThreadpoolController

Vector = NDArray[np.float64]
Features = Mapping[Hashable, float]

BLAS = ThreadpoolController().select(user_api="blas")
"""On one thread: matrices of some hundred rows take a third of the time that they take on two,
which wait for each other, and the sums do not depend on the number of cores.
"""

LENGTH_SCALES = (1.0, 2.0, 3.0, 5.0, 8.0)
NOISES = (1e-3, 1e-2, 0.1, 0.3)
"""Variances; the signal's is the unit."""

SLOPES = (0.0, 0.1, 1.0, 10.0)
"""Variances of the coefficients of the trends, in the same unit; 0: the trends say nothing."""

TUNING_POINTS = 128
"""Points, evenly spaced in the order given, for which likelihoods are compared."""


class GaussianProcess:
    """The posterior of a function seen at points, with noise; the prior mean is zero.

    Shapes:
        values: (len(points),)
        trends: (len(points), K), of the points seen as of those to predict
    """

    def __init__(
        self,
        points: Sequence[Features],
        values: Vector,
        length_scales: Sequence[float] = LENGTH_SCALES,
        noises: Sequence[float] = NOISES,
        trends: Vector | None = None,
        slopes: Sequence[float] = SLOPES,
    ) -> None:
        self._points, self._values, self._trends = points, values, _trends(trends, points)
        names = dict.fromkeys(name for point in points for name in point)
        self._columns = {name: column for column, name in enumerate(names)}
        self._matrix, self._lengths = self._known_part(points)
        with BLAS.limit(limits=1):
            self._learn(values, length_scales, noises, slopes)

    def predict(
        self, points: Sequence[Features], trends: Vector | None = None
    ) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the function, equations 2.25 and 2.26. Without `trends`
        those of the points are 0.

        Shapes:
            (len(points),) each
        """
        with BLAS.limit(limits=1):
            return self._posterior(points, _trends(trends, points, self._trends.shape[1]))

    def believing(self, points: Sequence[Features], trends: Vector | None = None) -> Self:
        """The posterior if its own mean were seen at `points`: less uncertain there, and the same
        mean (the kriging believer of Ginsbourger et al., 2010).
        """
        if not points:
            return self
        trends = _trends(trends, points, self._trends.shape[1])
        believer = type(self)(
            [*self._points, *points],
            np.concatenate([self._values, self.predict(points, trends)[0]]),
            (self.length_scale,),
            (self.noise,),
            np.concatenate([self._trends, trends]),
            (self.slope,),
        )
        believer.signal = self.signal
        return believer

    def _squared_distances(self, points: Sequence[Features]) -> Vector:
        """Between the points seen and these.

        Shapes:
            (seen, len(points))
        """
        return self._distances(*self._known_part(points))

    def _distances(self, known: csr_array, lengths: Vector) -> Vector:
        products = (self._matrix @ known.T).toarray()
        squares: Vector = np.maximum(
            self._lengths[:, None] + lengths[None, :] - 2.0 * products, 0.0
        )
        return squares

    def _learn(
        self,
        values: Vector,
        length_scales: Sequence[float],
        noises: Sequence[float],
        slopes: Sequence[float],
    ) -> None:
        squares = self._distances(self._matrix, self._lengths)
        products = self._trends @ self._trends.T
        few = slice(None, None, math.ceil(len(self._points) / TUNING_POINTS))
        _, self.length_scale, self.noise, self.slope = max(
            (_fit(kernel + slope * products[few, few], values[few], noise)[0], scale, noise, slope)
            for scale in length_scales
            for kernel in [matern(squares[few, few], scale)]
            for noise in noises
            for slope in (slopes if self._trends.shape[1] else (0.0,))
        )
        kernel = matern(squares, self.length_scale) + self.slope * products
        _, self.signal, self._factor, self._whitened = _fit(kernel, values, self.noise)

    def _posterior(self, points: Sequence[Features], trends: Vector) -> tuple[Vector, Vector]:
        kernel = matern(self._squared_distances(points), self.length_scale)
        prior: Vector | float = 1.0
        if self.slope:
            kernel += self.slope * (self._trends @ trends.T)
            prior = 1.0 + self.slope * (trends**2).sum(axis=1)
        reduced = solve_triangular(self._factor, kernel, lower=True, check_finite=False)
        variances = np.maximum(prior - (reduced**2).sum(axis=0), 1e-9)
        return reduced.T @ self._whitened, np.sqrt(self.signal * variances)

    def _known_part(self, points: Sequence[Features]) -> tuple[csr_array, Vector]:
        """The features that a point seen has, the others are orthogonal to all points seen; and
        the squared length of each point, by all of its features.
        """
        counts = [len(point) for point in points]
        rows = np.repeat(np.arange(len(points)), counts)
        find = self._columns.get
        columns = np.array([find(name, -1) for point in points for name in point], dtype=int)
        values = np.array([value for point in points for value in point.values()], dtype=float)
        lengths = np.bincount(rows, values**2, minlength=len(points)).astype(np.float64)
        known = columns >= 0
        shape = (len(points), len(self._columns))
        return csr_array((values[known], (rows[known], columns[known])), shape=shape), lengths


def _trends(trends: Vector | None, points: Sequence[Features], count: int = 0) -> Vector:
    return np.zeros((len(points), count)) if trends is None else trends


def _fit(kernel: Vector, values: Vector, noise: float) -> tuple[float, float, Vector, Vector]:
    """Log marginal likelihood but for a constant, signal variance, L and L^-1 values."""
    kernel = kernel + noise * np.eye(len(values))
    factor = np.linalg.cholesky(kernel).astype(np.float64, copy=False)
    whitened: Vector = solve_triangular(factor, values, lower=True, check_finite=False)
    signal = max(float(whitened @ whitened) / len(values), 1e-12)
    likelihood = -0.5 * len(values) * math.log(signal) - float(np.log(np.diag(factor)).sum())
    return likelihood, signal, factor, whitened


def matern(squared_distances: Vector, length_scale: float) -> Vector:
    """Matern 5/2 (equation 4.17), 1 at distance 0."""
    scaled = np.sqrt(5.0 * squared_distances) / length_scale
    kernel: Vector = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return kernel
