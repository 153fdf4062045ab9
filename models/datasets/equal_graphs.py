"""Which graphs are equal but for the order of their nodes, as far as messages can tell.

Colour refinement of Weisfeiler and Lehman, 1968: what it cannot tell apart no network of message
passing can (Xu et al., ICLR 2019, https://arxiv.org/abs/1810.00826, lemma 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.datasets.edges import WEIGHTS

Codes = NDArray[np.uint64]

ROUNDS = 6
FEW_KINDS = 50
"""Different graphs, below which equal ones are no copies: there are few such graphs."""


def equal_graphs(kinds: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The same, where equal graphs are copies: None where all differ, or there are few kinds."""
    distinct = len(np.unique(kinds))
    return None if distinct == len(kinds) or distinct < FEW_KINDS else kinds


def kinds_of_graphs(
    raw: Mapping[str, Tensor], count: int, *, undirected: bool = False
) -> NDArray[np.int64]:
    """Which of `count` graphs have the same features, edges and weights.

    raw: as `models.datasets.graphs` has it, with `graph_of`.

    Shapes:
        (count,) number of the group, from 0
    """
    graph_of, colours = raw["graph_of"].numpy(), _features(raw)
    source, target, weights = _edges(raw, len(graph_of), undirected)
    for _ in range(ROUNDS):
        messages = _mixed(colours[source] ^ weights)
        colours = _mixed(_mixed(colours) + _sums(messages, target, len(colours)))
    sizes = np.bincount(graph_of, minlength=count).astype(np.uint64)
    whole = _mixed(_sums(colours, graph_of, count) + sizes)
    return np.unique(whole, return_inverse=True)[1].astype(np.int64)


def _features(raw: Mapping[str, Tensor]) -> Codes:
    """A number of each node, the same where the features are."""
    if "x" in raw:
        x = raw["x"].numpy()
        found = np.zeros(len(x), np.uint64)
        for column in x.T:
            found = _mixed(found + _codes(column))
        return found
    starts = raw["x_indptr"].numpy()
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    places = _mixed(raw["x_indices"].numpy().astype(np.uint64))
    return _sums(_mixed(places ^ _codes(raw["x_data"].numpy())), rows, len(starts) - 1)


def _edges(
    raw: Mapping[str, Tensor], nodes: int, undirected: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], Codes]:
    """Source, target and the number of the weight of each link between two nodes, once."""
    source, target = raw["edge_index"].numpy()
    named = next((name for name in WEIGHTS if name in raw), None)
    weights = np.ones(len(source), np.float32) if named is None else raw[named].numpy()
    if undirected:
        source, target = np.r_[source, target], np.r_[target, source]
        weights = np.r_[weights, weights]
    pairs = target * nodes + source
    order = np.lexsort((weights, pairs))
    last = np.append(pairs[order][1:] != pairs[order][:-1], [True] * bool(len(pairs)))
    kept = order[last & (source != target)[order]]
    return source[kept], target[kept], _codes(weights[kept])


def _codes(values: NDArray[Any]) -> Codes:
    """Of float32 numbers; both zeros are one."""
    bits = (np.ascontiguousarray(values, dtype=np.float32) + np.float32(0)).view(np.uint32)
    return _mixed(bits.astype(np.uint64))


def _sums(values: Codes, places: NDArray[np.int64], count: int) -> Codes:
    """By place, modulo 2^64: an order of the values changes nothing."""
    sums = np.zeros(count, np.uint64)
    np.add.at(sums, places, values)
    return sums


def _mixed(values: Codes) -> Codes:
    """Spread over all bits, so that sums hardly ever meet: the finaliser of SplitMix64, Steele,
    Lea and Flood, OOPSLA 2014.
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
