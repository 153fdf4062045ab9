"""The graph convolutional network of two layers, Kipf and Welling, ICLR 2017."""

from __future__ import annotations

from models.datasets import Dataset
from models.presets import preset
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.known_networks import trained


@simple_models.register("gcn")
class Gcn:
    """The preset, by its own recipe: 200 epochs of Adam."""

    tasks = frozenset({"node_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        known = preset("gcn")
        return trained(known.architecture, dataset, known.recipe_for(dataset.task), until)
