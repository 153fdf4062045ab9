"""Ridge regression: a linear map of the columns, or of the window to the forecast."""

from __future__ import annotations

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import flat, values


@simple_models.register("ridge_regression")
class RidgeRegression:
    """scikit-learn's, with its own penalty (alpha = 1)."""

    tasks = frozenset({"tabular_regression", "forecasting"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.linear_model import Ridge

        estimator = Ridge().fit(flat(dataset.train), dataset.train.y.numpy())
        return lambda part: values(estimator.predict(flat(part)), dataset.task.outputs)
