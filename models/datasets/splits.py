"""Drawing a split: once per dataset, by seed, stratified by class."""

from __future__ import annotations

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
    if any(share <= 0 for share in shares) or sum(shares) >= 1:
        raise ValueError(f"shares are positive and add up to less than 1, got {list(shares)}")
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
    if not all(len(chosen) for chosen in sets):
        raise ValueError(
            f"{len(y)} samples are too few for sets of {[len(chosen) for chosen in sets]}"
        )
    return sets
