"""Independent streams of random numbers from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import torch


def derived(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, the same on every platform."""
    return Random(f"{seed} {purpose}").getrandbits(63)  # noqa: S311 - not for secrets


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within it the generators that dropout draws from start from `seed`; after it they are as
    they were.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
