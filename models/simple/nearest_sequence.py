"""The class of the nearest sequence."""

from __future__ import annotations

from models.datasets import Dataset
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import flat, logits


@simple_models.register("nearest_neighbour")
class NearestNeighbour:
    """By the Euclidean distance, step by step: what the field measures sequences against."""

    tasks = frozenset({"sequence_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.neighbors import KNeighborsClassifier

        estimator = KNeighborsClassifier(1).fit(flat(dataset.train), dataset.train.y.numpy())
        return lambda part: logits(estimator, flat(part), dataset.task.outputs)
