"""What standardisation needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def moments(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population deviation over the first axis; 1 where all values are equal."""
    deviation = values.std(axis=0, dtype=np.float64)
    return values.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)
