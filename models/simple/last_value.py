"""The last value of the window, for every step of the forecast."""

from __future__ import annotations

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor, seasonal


@simple_models.register("last_value")
class LastValue:
    """The naive forecast."""

    tasks = frozenset({"forecasting"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        horizon = dataset.preprocessing["target"]["horizon"]
        return lambda part: seasonal(dataset, part, 0, horizon)
