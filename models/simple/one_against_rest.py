"""Logistic regression of each label by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Dataset, Split
from models.simple import simple_models
from models.simple.tfidf import vectors
from models.task import MULTILABEL
from models.training.baseline import Predictor
from models.training.estimators import flat

LARGEST = 20.0
"""Log odds of a label that all samples of the train split have; of one that none has, less that."""


@simple_models.register("one_against_rest")
class OneAgainstRest:
    """scikit-learn's, with its own penalty (C = 1), on columns, pixels, or TF-IDF of texts."""

    tasks = frozenset({MULTILABEL})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        seen = flat if dataset.task.vocabulary is None else vectors(dataset.train)
        x = seen(dataset.train)
        odds = [_log_odds(x, y) for y in dataset.train.y.numpy().T]

        def predict(part: Split) -> Tensor:
            x = seen(part)
            return torch.from_numpy(np.stack([of(x) for of in odds], axis=1)).float()

        return predict


def _log_odds(x: Any, y: NDArray[np.bool_]) -> Callable[[Any], NDArray[np.float64]]:
    """What says the log odds of one label, fitted on samples with and without it.

    Shapes:
        x: (N, features); y: (N,); -> (M, features) -> (M,)
    """
    from sklearn.linear_model import LogisticRegression

    if y.all() or not y.any():
        return lambda x: np.full(x.shape[0], LARGEST if y.all() else -LARGEST)
    odds: Callable[[Any], NDArray[np.float64]]
    odds = LogisticRegression(max_iter=1000).fit(x, y).decision_function
    return odds
