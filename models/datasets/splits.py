"""Drawing a split: once per dataset, by seed and stratified by class, at random, or in order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(y: NDArray[np.int64], shares: Sequence[float], seed: int) -> list[Indices]:
    """Disjoint sets of samples: first the rest (train), then one set a share.

    `stratified(y, (0.2, 0.2), seed)` gives 60 %, 20 % and 20 %. A set holds its share of each
    class to within one sample; what rounding takes or gives is carried on to the next class, so
    that small classes do not add up to an empty set. The first set has a sample of every class.

    Shapes:
        y: (N,) class of each sample
        each set: its indices in ascending order

    Raises:
        ValueError: the shares are not positive or leave nothing, or a set would be empty.
    """
    _check(shares)
    rng = np.random.Generator(np.random.PCG64(seed))
    parts: list[list[Indices]] = [[] for _ in range(len(shares) + 1)]
    carried = [0.0] * len(shares)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        for index, share in enumerate(shares):
            wanted = share * np.count_nonzero(y == label) + carried[index]
            taken = min(max(round(wanted), 0), len(members) - 1)
            carried[index] = wanted - taken
            parts[index + 1].append(members[:taken])
            members = members[taken:]
        parts[0].append(members)
    sets = [np.sort(np.concatenate(part)) if part else np.empty(0, np.int64) for part in parts]
    return _checked(sets)


def shuffled(samples: int, shares: Sequence[float], seed: int) -> list[Indices]:
    """As `stratified`, for targets without classes."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(samples)
    return [np.sort(order[part]) for part in ordered(samples, shares)]


def ordered(samples: int, shares: Sequence[float]) -> list[Indices]:
    """Contiguous blocks: the first samples are the first set (train), the last ones the last."""
    _check(shares)
    ends = np.cumsum([round(share * samples) for share in reversed(shares)])[::-1]
    bounds = [0, *(samples - ends), samples]
    return _checked([np.arange(low, high) for low, high in itertools.pairwise(bounds)])


def _check(shares: Sequence[float]) -> None:
    if any(share <= 0 for share in shares) or sum(shares) >= 1:
        raise ValueError(f"shares are positive and add up to less than 1, got {list(shares)}")


def _checked(sets: list[Indices]) -> list[Indices]:
    if not all(len(chosen) for chosen in sets):
        raise ValueError(
            f"{sum(map(len, sets))} samples are too few for sets of "
            f"{[len(chosen) for chosen in sets]}"
        )
    return sets
