"""The values one season before, the season being that which is nearest on the train split."""

from __future__ import annotations

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor, season_of, seasonal


@simple_models.register("seasonal_naive")
class SeasonalNaive:
    """The last value where no season of the window is nearer."""

    tasks = frozenset({"forecasting"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        season, horizon = season_of(dataset), dataset.preprocessing["target"]["horizon"]
        return lambda part: seasonal(dataset, part, season, horizon)
