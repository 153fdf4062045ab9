"""Logistic regression of the columns, or of the pixels."""

from __future__ import annotations

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import flat, logits


@simple_models.register("logistic_regression")
class LogisticRegression:
    """scikit-learn's, with its own penalty (C = 1)."""

    tasks = frozenset({"tabular_classification", "image_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.linear_model import LogisticRegression as Estimator

        estimator = Estimator(max_iter=1000).fit(flat(dataset.train), dataset.train.y.numpy())
        return lambda part: logits(estimator, flat(part), dataset.task.outputs)
