"""Counts of the subtrees of graphs, Shervashidze et al., JMLR 12 (2011), 2539-2561."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, Split
from models.graph_samples import Graphs
from models.simple import simple_models
from models.simple.features_alone import features_of
from models.training.baseline import Predictor
from models.training.estimators import logits

ROUNDS = 3
"""h in the paper."""

Labels = NDArray[np.uint64]


@simple_models.register("weisfeiler_lehman")
class WeisfeilerLehman:
    """Logistic regression of scikit-learn, with its own penalty (C = 1), on the counts that the
    kernel of the paper is made of, with three rounds. A node begins with its features as its label.
    """

    tasks = frozenset({"graph_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = CountVectorizer(analyzer=list)
        counts = vectorizer.fit_transform(subtrees(dataset.train))
        estimator = LogisticRegression(max_iter=1000).fit(counts, dataset.train.y.numpy())
        outputs = dataset.task.outputs
        return lambda part: logits(estimator, vectorizer.transform(subtrees(part)), outputs)


def subtrees(split: Split) -> list[list[str]]:
    """The labels of every round of the nodes of each graph."""
    graphs = split.x
    assert isinstance(graphs, Graphs)  # noqa: S101 - of this task alone
    labels, found = _first(graphs), list[list[str]]([[] for _ in range(len(graphs))])
    rows, columns = graphs.links.rows.numpy(), graphs.links.columns.numpy()
    others = rows != columns
    for depth in range(ROUNDS + 1):
        for graph, label in zip(graphs.graph_of.tolist(), labels.tolist(), strict=True):
            found[graph].append(f"{depth}:{label:x}")
        around = np.zeros_like(labels)
        np.add.at(around, rows[others], _mixed(labels[columns[others]]))
        labels = _mixed(_mixed(labels + np.uint64(1)) ^ around)
    return found


def _first(graphs: Graphs) -> Labels:
    """A number for the features of each node, the same for the same ones."""
    dense = features_of(graphs).toarray()
    kinds, which = np.unique(dense, axis=0, return_inverse=True)
    digests = [hashlib.sha256(kind.tobytes()).digest()[:8] for kind in kinds]
    return np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64)[which]


def _mixed(numbers: Labels) -> Labels:
    """Bits spread over all 64, so that sums tell multisets apart: Steele et al., SplitMix,
    OOPSLA 2014.
    """
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
