"""Gradient boosting of trees on histograms, Ke et al. (LightGBM), NeurIPS 2017."""

from __future__ import annotations

import numpy as np

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import flat, logits, values


@simple_models.register("histogram_gradient_boosting")
class HistogramGradientBoosting:
    """scikit-learn's, with its defaults; one for each value of a regression of several."""

    tasks = frozenset({"tabular_classification", "tabular_regression"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        x, y, outputs = flat(dataset.train), dataset.train.y.numpy(), dataset.task.outputs
        if dataset.task.name == "tabular_classification":
            classifier = HistGradientBoostingClassifier(random_state=0).fit(x, y)
            return lambda part: logits(classifier, flat(part), outputs)
        regressors = [
            HistGradientBoostingRegressor(random_state=0).fit(x, column) for column in y.T
        ]

        return lambda part: values(
            np.stack([regressor.predict(flat(part)) for regressor in regressors], axis=1), outputs
        )
