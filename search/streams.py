"""Random streams of a search: each for one purpose, none stored.

Searches from before purposes had names go on as they began: their seed is an `OlderSeed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from models import streams
from models.streams import Purpose


class SearchPurpose(Purpose):
    """Of a search, by its seed."""

    ASK = "ask"
    """What a strategy proposes as trial `number`."""

    GRID = "grid"
    """Where a grid begins, and its stride."""

    POLICY = "policy"
    """First weights of a controller."""

    SUPERNET = "supernet"
    """The seed of the supernet that is trial `number`."""

    DERIVED_RECIPE = "derived recipe"
    """The recipe of what the supernet of trial `number` derived, where recipes are searched."""

    SCREENING = "screening"
    """Draw `number` of the sample that zero-cost proxies score."""

    PROXY_BATCH = "proxy batch"
    """The samples that zero-cost proxies see."""

    BASELINE = "baseline"
    """What random search, to compare with, proposes as trial `number`."""

    EXAMPLE = "example"
    """Network `number` that a dry run shows."""


class SupernetPurpose(Purpose):
    """Of a supernet, by its own seed."""

    WEIGHTS = "supernet weights"
    """As they are first."""

    HALVES = "supernet halves"
    """Which samples train the weights, and which the architecture."""

    ORDER = "supernet order"
    """Of the samples in epoch `number`."""

    DROPOUT = "supernet dropout"
    """And whatever else an epoch, `number`, draws from torch's own generators."""

    CHOICES = "supernet choices"
    """Paths, noise and whatever else the method draws, from the first epoch to the last."""

    FREQUENCIES = "supernet frequencies"
    """Subnets by which the frequencies of the options are told; the same for every supernet."""

    GUARD = "supernet guard"
    """The batch on which the guard looks at the curvature."""

    CURVATURE = "supernet curvature"
    """The vector that the search for an eigenvalue begins with; the same for every supernet."""

    CLOSING = "supernet closing"
    """The closing statistics."""


Format = Literal[1, 2]
FORMAT: Format = 2
"""Of how a search follows from its seed. 1: purposes were numbers."""


class OlderSeed(int):
    """The seed of a search of format 1, in which a purpose was a number."""


def rng_for(seed: int, purpose: Purpose, number: int | None = None) -> Random:
    """An independent stream for each purpose and number, so that no generator state is stored."""
    if isinstance(seed, OlderSeed):
        return Random(f"{seed}:{_older(purpose, number or 0)}")  # noqa: S311 - a search, no secret
    return streams.rng_for(seed, purpose, number)


def seed_for(seed: int, purpose: Purpose, number: int | None = None) -> int:
    """The same for a generator of torch or numpy."""
    if isinstance(seed, OlderSeed) and purpose in (
        SearchPurpose.PROXY_BATCH,
        SupernetPurpose.HALVES,
    ):
        return int(seed)
    return rng_for(seed, purpose, number).getrandbits(63)


def supernet_seed(seed: int, number: int) -> int:
    """The seed of the supernet that is trial `number`, with streams of the same format."""
    drawn = rng_for(seed, SearchPurpose.SUPERNET, number).getrandbits(31)
    return OlderSeed(drawn) if isinstance(seed, OlderSeed) else drawn


SEED_FIELDS = ("seed", "format")


def seed_document(seed: int) -> dict[str, int]:
    """A seed as JSON, with the format of its streams."""
    return {"seed": int(seed)} if isinstance(seed, OlderSeed) else {"seed": seed, "format": FORMAT}


def seed_from(document: Mapping[str, Any]) -> int:
    """The inverse of `seed_document`."""
    seed: int = document["seed"]
    return seed if "format" in document else OlderSeed(seed)


def _older(purpose: Purpose, number: int) -> int:
    """The number of a stream in format 1, where several purposes had the same."""
    if purpose in (SearchPurpose.SCREENING, SupernetPurpose.DROPOUT):
        return -1 - number
    if purpose in (SearchPurpose.POLICY, SupernetPurpose.CHOICES):
        return -1
    return number
