"""What graphs hold without their links."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from models.datasets import Dataset, Split
from models.graph import Features
from models.graph_samples import Graphs, Nodes
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import logits


@simple_models.register("features_alone")
class FeaturesAlone:
    """scikit-learn's logistic regression, with its own penalty (C = 1): of a node by its features,
    of a graph by the sums of those of its nodes and by how many these are.
    """

    tasks = frozenset({"node_classification", "graph_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.linear_model import LogisticRegression

        estimator = LogisticRegression(max_iter=1000)
        estimator.fit(_seen(dataset.train), dataset.train.y.numpy())
        return lambda part: logits(estimator, _seen(part), dataset.task.outputs)


def _seen(split: Split) -> Any:
    """What a sample is told by.

    Shapes:
        -> (N, features), of graphs (N, features + 1)
    """
    x = split.x
    if isinstance(x, Nodes):
        return features_of(x)[x.picked.numpy()]
    assert isinstance(x, Graphs)  # noqa: S101 - of the other of the two tasks
    nodes = np.arange(len(x.graph_of))
    of_graph = csr_array(
        (np.ones(len(nodes)), (x.graph_of.numpy(), nodes)), shape=(len(x), len(nodes))
    )
    sums = (of_graph @ features_of(x)).toarray()
    return np.hstack([sums, of_graph.sum(axis=1)[:, None]])


def features_of(graph: Nodes | Graphs) -> csr_array:
    """Of every node of every graph.

    Shapes:
        (nodes, features)
    """
    if not isinstance(graph.x, Features):
        return csr_array(graph.x.numpy())
    places = graph.x.places
    return csr_array(
        (graph.x.values.numpy(), (places.rows.numpy(), places.columns.numpy())),
        shape=(places.height, places.width),
    )
