"""Drawing a split: once per dataset, by seed and stratified by class, at random, or in order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(
    y: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> list[Indices]:
    """Disjoint sets of samples: first the rest (train), then one set a share.

    `stratified(y, (0.2, 0.2), seed)` gives 60 %, 20 % and 20 %. A set holds its share of each
    class to within one sample; what rounding takes or gives is carried on to the next class, so
    that small classes do not add up to an empty set. The first set has a sample of every class.

    Samples of one of the `groups` stay together. Groups of several are placed first, the largest
    of them first; samples of their own then fill each set to its share, as far as there are any.
    Where no two samples have one group, the split is that without groups.

    Shapes:
        y: (N,) class of each sample
        groups: (N,) number of its group, from 0
        each set: its indices in ascending order

    Raises:
        ValueError: the shares are not positive or leave nothing, or a set would be empty.
    """
    _check(shares)
    rng = np.random.Generator(np.random.PCG64(seed))
    placed = np.full(len(y), -1) if groups is None else _placed(y, groups, shares, rng)
    parts = [[np.flatnonzero(placed == index)] for index in range(len(shares) + 1)]
    carried = [0.0] * len(shares)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero((y == label) & (placed < 0)))
        there = np.bincount(placed[(y == label) & (placed >= 0)], minlength=len(parts))
        kept = 0 if there[0] else 1
        for index, share in enumerate(shares):
            wanted = share * np.count_nonzero(y == label) + carried[index] - int(there[index + 1])
            taken = min(max(round(wanted), 0), len(members) - kept)
            carried[index] = wanted - taken
            parts[index + 1].append(members[:taken])
            members = members[taken:]
        parts[0].append(members)
    return _checked([np.sort(np.concatenate(part)) for part in parts])


def _placed(
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> Indices:
    """The set of each sample whose group has others, -1 for those on their own.

    A group goes where it leaves the least squared deviation from the wanted counts, of each class
    and of all, each divided by the set's share; to the first set while that lacks its class.
    """
    placed = np.full(len(y), -1)
    sizes = np.bincount(groups)
    order, ends = np.argsort(groups, kind="stable"), np.cumsum(sizes)
    drawn = rng.permutation(np.flatnonzero(sizes > 1))
    counts = np.append(np.bincount(y), len(y))
    parts = np.array([1 - sum(shares), *shares])[:, None]
    missing, seen = parts * counts, np.zeros(len(counts), bool)
    for group in sorted(drawn.tolist(), key=lambda number: -sizes[number]):
        members = order[ends[group] - sizes[group] : ends[group]]
        own = np.append(np.bincount(y[members], minlength=len(counts) - 1), len(members))
        gains = (own * (2 * missing - own) / parts).sum(axis=1)
        chosen = int(gains.argmax()) if seen[y[members]].all() else 0
        missing[chosen] -= own
        seen[y[members]] |= chosen == 0
        placed[members] = chosen
    return placed


def shuffled(
    samples: int, shares: Sequence[float], seed: int, groups: Indices | None = None
) -> list[Indices]:
    """As `stratified`, for targets without classes."""
    if groups is not None:
        return stratified(np.zeros(samples, dtype=np.int64), shares, seed, groups)
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
