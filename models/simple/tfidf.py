"""TF-IDF of tokens and pairs of tokens, and logistic regression."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from models.datasets import Dataset, Split
from models.simple import simple_models
from models.training.baseline import Predictor
from models.training.estimators import logits


@simple_models.register("tfidf_logistic_regression")
class TfidfLogisticRegression:
    """scikit-learn's, with its own penalty (C = 1) and logarithmic counts."""

    tasks = frozenset({"text_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.linear_model import LogisticRegression

        seen = vectors(dataset.train)
        estimator = LogisticRegression(max_iter=1000)
        estimator.fit(seen(dataset.train), dataset.train.y.numpy())
        return lambda part: logits(estimator, seen(part), dataset.task.outputs)


def vectors(train: Split) -> Callable[[Split], Any]:
    """What weighs the tokens of texts as they are there in the train split."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=_grams, sublinear_tf=True).fit(_texts(train))
    return lambda part: vectorizer.transform(_texts(part))


def _texts(split: Split) -> list[list[int]]:
    """Token ids of each text, without what stands after its end."""
    assert isinstance(split.x, Tensor)  # noqa: S101 - of texts
    return [[token for token in text if token] for text in split.x.tolist()]


def _grams(tokens: list[int]) -> Iterator[str]:
    yield from map(str, tokens)
    for first, second in itertools.pairwise(tokens):
        yield f"{first} {second}"
