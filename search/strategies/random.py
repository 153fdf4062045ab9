"""Random search: the baseline that every strategy has to beat.

Li & Talwalkar, UAI 2019, https://arxiv.org/abs/1902.07638.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.space import SearchSpace
from search.strategy import MANY_OBJECTIVES, StrategySettings, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial


@strategies.register("random")
class RandomSearch:
    """Independent samples, whatever the results; a repeat costs the search nothing."""

    objectives = MANY_OBJECTIVES

    class Settings(StrategySettings):
        """Random search has no settings."""

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._seed = space, seed

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        return self._space.sample(rng_for(self._seed, SearchPurpose.ASK, number))

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""
