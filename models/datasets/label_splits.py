"""Dividing samples with several labels each, so that every set has its share of every label.

Iterative stratification, Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011, Algorithm 1
(https://doi.org/10.1007/978-3-642-23808-6_10).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def by_label(
    labels: NDArray[np.bool_],
    shares: Sequence[float],
    rng: np.random.Generator,
    groups: Indices | None = None,
) -> Indices:
    """The set of each sample, 0 the rest (train), then one a share.

    The rarest label is placed first, each of its samples where most of it is wanting, of equal
    sets where most samples are. Beside the paper: samples of one group go together, large groups
    first; to have no label counts as a label; and of each label the first samples go to set 0.

    Shapes:
        labels: (N, labels); groups: (N,) number of its group, from 0; the answer: (N,)
    """
    columns = np.column_stack([labels, ~labels.any(axis=1)]).astype(np.int64)
    groups = np.arange(len(labels)) if groups is None else groups
    sizes = np.bincount(groups)
    held = np.zeros((len(sizes), columns.shape[1]), dtype=np.int64)
    np.add.at(held, groups, columns)
    drawn = rng.permutation(np.flatnonzero(sizes))
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    return _Placing(held, sizes, np.array([1 - sum(shares), *shares])).place(order)[groups]


class _Placing:
    """Groups by how often each label is in them, and how much of each label a set still wants."""

    def __init__(self, held: Indices, sizes: Indices, parts: NDArray[Any]) -> None:
        self._held, self._sizes = held, sizes
        self._wanted = parts[:, None] * held.sum(axis=0)
        self._wanted_samples = parts * sizes.sum()
        self._left = held.sum(axis=0)
        self._in_train = np.zeros(held.shape[1], dtype=bool)
        self._places = np.full(len(sizes), -1)

    def place(self, order: Indices) -> Indices:
        """The set of each group; those of a label are placed in `order`."""
        while self._left.any():
            label = int(np.where(self._left > 0, self._left, np.iinfo(np.int64).max).argmin())
            for group in order[(self._places[order] < 0) & (self._held[order, label] > 0)]:
                self._put(int(group), self._set_for(label))
        return self._places

    def _set_for(self, label: int) -> int:
        if not self._in_train[label]:
            return 0
        wanted = self._wanted[:, label].round(9)  # what is equal but for rounding is a tie
        tied = np.flatnonzero(wanted == wanted.max())
        return int(tied[self._wanted_samples[tied].argmax()])

    def _put(self, group: int, chosen: int) -> None:
        own = self._held[group]
        self._places[group] = chosen
        self._wanted[chosen] -= own
        self._wanted_samples[chosen] -= self._sizes[group]
        self._left -= own
        if chosen == 0:
            self._in_train |= own > 0
