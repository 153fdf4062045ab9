"""Grid search: every point of a grid once, in an order that spreads over the whole of it.

The points are numbered (`search.counting`). Trial n takes point (offset + n * stride) mod size,
with a stride near the golden section of the size and without a common divisor: a Kronecker
sequence, so that a search of any length covers the grid about evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from models.domains import Choice
from search.counting import assignment_at, count_assignments
from search.space import SearchSpace
from search.strategy import MANY_OBJECTIVES, StrategySettings, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

GOLDEN_SECTION = 618_034
"""Millionths: a grid may have more points than a float can count."""


@strategies.register("grid")
class Grid:
    """Every combination of all options, and of a few levels of each range, whatever the results."""

    objectives = MANY_OBJECTIVES

    class Settings(StrategySettings):
        """How fine the grid is."""

        levels: int = Field(
            5, ge=1, le=1000, description="values of a range, evenly spaced, ends included"
        )

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space = space
        self._decisions = [
            replace(d, domain=Choice(d.domain.levels(settings.levels))) for d in space.decisions
        ]
        self._size = int(count_assignments(self._decisions))
        rng = rng_for(seed, SearchPurpose.GRID)
        self._offset = rng.randrange(self._size)
        stride = self._size * GOLDEN_SECTION // 10**6 + rng.randrange(1 + self._size // 100)
        while math.gcd(stride, self._size) != 1:
            stride += 1
        self._stride = stride

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        index = (self._offset + number * self._stride) % self._size
        return self._space.candidate(assignment_at(self._decisions, index))

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""
