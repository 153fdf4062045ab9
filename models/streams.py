"""Independent streams of random numbers from one seed, each for one purpose, none stored.

The initial weights of a network are the one thing that is drawn by the seed itself
(`models.training.initialization.build`): what all versions have stored begins with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Purpose(StrEnum):
    """What a stream is for. Each package spells its own in an enumeration of this kind, and no
    two share a value.
    """


class TrainingPurpose(Purpose):
    """Of the training of one network, by the seed of its trial."""

    INITIALIZATION = "initialization"
    """Weights that the recipe draws anew."""

    ORDER = "order"
    """Of the samples, and how they are augmented, in epoch `number`."""

    EPOCH = "epoch"
    """Dropout in epoch `number`."""

    STATISTICS = "statistics"
    """The training samples that batch normalisation is fitted to before the network is scored."""

    PRETEXT = "pretext"
    """Weights of what stands in for the head in pretraining."""

    PRETRAINING = "pretraining"
    """The order of the samples, and what is hidden of them, in epoch `number` of pretraining."""

    PRETRAINING_DROPOUT = "pretraining dropout"
    """Dropout in epoch `number` of pretraining."""

    FOLD = "fold"
    """The seed of the network of fold `number`."""


def rng_for(seed: int, purpose: Purpose, number: int | None = None) -> Random:
    """The stream of a purpose, the same on every platform; `number` tells its repetitions apart."""
    name = f"{seed} {purpose}" if number is None else f"{seed} {purpose} {number}"
    return Random(name)  # noqa: S311 - not for secrets


def seed_for(seed: int, purpose: Purpose, number: int | None = None) -> int:
    """The same for a generator of torch, which takes 63 bits."""
    return rng_for(seed, purpose, number).getrandbits(63)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within it the generators that dropout draws from start from `seed`; after it they are as
    they were.
    """
    import torch  # the streams of a search are drawn without it

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
