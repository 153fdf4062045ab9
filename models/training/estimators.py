"""What estimators of scikit-learn say, in the form that a network says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Split

LEAST = 1e-9
"""Probability of a class that the train split lacks."""


def flat(split: Split) -> NDArray[np.float32]:
    """Each sample as one row.

    Shapes:
        (N, *task.input_shape) -> (N, features)
    """
    assert isinstance(split.x, Tensor)  # noqa: S101 - no graphs come here
    array: NDArray[np.float32] = split.x.reshape(len(split), -1).numpy()
    return array


def logits(estimator: Any, x: Any, classes: int) -> Tensor:
    """Of a classifier that was fitted on class indices.

    Shapes:
        -> (N, classes)
    """
    found = np.full((x.shape[0], classes), LEAST)
    found[:, estimator.classes_] = np.maximum(estimator.predict_proba(x), LEAST)
    return torch.from_numpy(np.log(found)).float()


def values(predicted: NDArray[Any], outputs: int) -> Tensor:
    """Of a regressor.

    Shapes:
        (N,) or (N, outputs) -> (N, outputs)
    """
    return torch.from_numpy(np.asarray(predicted)).float().reshape(-1, outputs)
