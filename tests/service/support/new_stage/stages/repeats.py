"""The winner is trained again on seeds that no final had: how much of its score is luck?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stage, Stages, stages
from search.engine.stages.candidates import Candidates
from search.trial import Candidate, Trial, TrialState
from search.trial_kind import TrialKind, registered

if TYPE_CHECKING:
    from search.spec import SearchSpec

REPEAT = registered(TrialKind("repeat", sees_test=True))


@stages.register("repeats")
class Repeats(Stage):
    kinds = (REPEAT,)
    phase = "repeating"
    after = ("candidates", "finals")

    def __init__(self, given: Given, earlier: Stages) -> None:
        self._left, self._candidates = given.spec.repeats, earlier[Candidates]
        self._seed = given.spec.seed + given.spec.final.seeds + 1

    @classmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        return spec.repeats

    @property
    def wants(self) -> bool:
        return self._left > 0 and self._candidates.has_result

    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        winner = self._candidates.best[0]
        return Trial(
            number,
            REPEAT,
            Candidate(winner.candidate.architecture, winner.candidate.recipe),
            TrialState.RUNNING,
            winner.architecture_key,
            winner.recipe_key,
            seed=self._seed,
            source=winner.number,
        )

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        if isinstance(event, TrialStarted):
            self._left, self._seed = self._left - 1, self._seed + 1

    def stop(self, *, is_asked_out: bool = False) -> None:
        self._left = 0
