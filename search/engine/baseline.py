"""What a strategy is measured against: random search with as many trials, in the same search."""

from __future__ import annotations

from search.engine.archive import identity
from search.engine.journal import TrialEnded, TrialStarted
from search.space import SearchSpace
from search.strategies import rng_for
from search.trial import Candidate

MAX_DRAWS = 100
"""Draws in a row that were all tried before, after which the space counts as exhausted."""

MAX_REFUSALS = 1000
"""Candidates in a row refused without training, after which the space counts as exhausted."""


class Baseline:
    """Random search without repeats: a function of seed, number and its own earlier trials. It
    knows nothing of the strategy's trials, and they nothing of it.

    counted: its trials, running ones included; those refused without training are left out.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._known: set[bytes] = set()
        self._refusals = 0
        self.counted = 0
        self.is_exhausted = False

    @property
    def has_started(self) -> bool:
        return bool(self._known)

    def ask(self, number: int) -> Candidate | None:
        """The proposal for trial `number`; None where the space has nothing more to draw."""
        rng = rng_for(self._seed, number)
        for _ in range(MAX_DRAWS if self._refusals < MAX_REFUSALS else 0):
            candidate = self._space.sample(rng)
            if identity(*self._space.keys(candidate)) not in self._known:
                return candidate
        self.is_exhausted = True
        return None

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        """A trial of the baseline started or ended."""
        trial = event.trial
        if isinstance(event, TrialStarted):
            self._known.add(identity(*self._space.keys(trial.candidate)))
            self.counted += 1
        elif trial.is_refused:
            self.counted -= 1
            self._refusals += 1
        else:
            self._refusals = 0
