"""Counts of what follows the last tokens, Witten and Bell, IEEE Transactions on Information Theory
37 (1991), 1085-1094, method C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from models.datasets import Dataset, Split
from models.simple import simple_models
from models.training.baseline import Predictor

ORDER = 6
"""Tokens of the longest context, and one more."""

BATCH = 64


@simple_models.register("n_grams")
class NGrams:
    """Of contexts of none to five tokens, each mixed with the next shorter one: with c tokens seen
    after a context, t of them distinct, what they say has the weight c / (c + t).
    """

    tasks = frozenset({"language_modeling"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        vocabulary = dataset.task.outputs
        lengths = range(min(ORDER, dataset.task.input_shape[0] + 1))
        levels = [_Level.of(dataset.train, length, vocabulary) for length in lengths]

        def predict(part: Split) -> Tensor:
            shares = np.full((*part.y.shape, vocabulary), 1 / vocabulary)
            for level in levels:
                level.mix_into(shares, part)
            return torch.from_numpy(np.log(shares)).float()

        return predict


@dataclass(frozen=True, slots=True)
class _Level:
    """What follows contexts of one length.

    Shapes:
        contexts: (contexts,) ascending; counts: (contexts, vocabulary)
    """

    length: int
    vocabulary: int
    contexts: NDArray[np.int64]
    counts: csr_array

    @classmethod
    def of(cls, train: Split, length: int, vocabulary: int) -> _Level:
        known, which = np.unique(_contexts(train, length, vocabulary), return_inverse=True)
        following = train.y[:, max(length - 1, 0) :].flatten().numpy()
        ones = np.ones(len(following))
        shape = (len(known), vocabulary)
        return cls(length, vocabulary, known, csr_array((ones, (which.ravel(), following)), shape))

    def mix_into(self, shares: NDArray[np.float64], part: Split) -> None:
        """Mix what follows the contexts of `part` into what shorter ones say.

        Shapes:
            shares: (N, length, vocabulary)
        """
        first = max(self.length - 1, 0)
        for start in range(0, len(part), BATCH):
            some = Split(part.x[start : start + BATCH], part.y[start : start + BATCH])
            asked = _contexts(some, self.length, self.vocabulary)
            place = np.searchsorted(self.contexts, asked).clip(max=len(self.contexts) - 1)
            seen = self.counts[place].toarray() * (self.contexts[place] == asked)[:, None]
            distinct = (seen > 0).sum(axis=1, keepdims=True)
            shorter = shares[start : start + BATCH, first:]
            weight = np.maximum(seen.sum(axis=1, keepdims=True) + distinct, 1)
            mixed = seen / weight
            kept = np.where(distinct > 0, distinct / weight, 1)
            shares[start : start + BATCH, first:] = shorter * kept.reshape(
                *shorter.shape[:2], 1
            ) + mixed.reshape(shorter.shape)


def _contexts(split: Split, length: int, vocabulary: int) -> NDArray[np.int64]:
    """A number for the last tokens before each one that follows, where the window has as many.

    Shapes:
        -> (N * (window - max(length - 1, 0)),)
    """
    assert isinstance(split.x, Tensor)  # noqa: S101 - of texts
    tokens = split.x.numpy().astype(np.int64)
    window = tokens.shape[1]
    found = np.zeros((len(tokens), window - max(length - 1, 0)), np.int64)
    for back in range(length):
        found = found * vocabulary + tokens[:, back : back + found.shape[1]]
    return found.ravel()
