"""What standardisation needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-12


def moments(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population deviation over the first axis; 1 where all values are equal, as far as
    rounding can tell: ten times 0.1 deviates by 1e-17 from its mean.
    """
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    return mean, np.where(deviation > ROUNDING * np.abs(mean), deviation, 1.0)
