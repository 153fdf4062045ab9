"""Random streams: each for one purpose, none stored."""

from __future__ import annotations

from random import Random


def rng_for(seed: int, number: int) -> Random:
    """An independent stream for each ask, so that no generator state is stored."""
    return Random(f"{seed}:{number}")  # noqa: S311 - a search, not a secret
