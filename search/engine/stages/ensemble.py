"""The ensemble: final trainings that are good together become one model (docs/adr/0047)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.architecture import sha256_of
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stage, Stages, stages
from search.engine.stages.finals import Finals
from search.objectives import fitness
from search.trial import EnsembleProposal, Trial, TrialState
from search.trial_kind import TrialKind, registered

if TYPE_CHECKING:
    from search.spec import SearchSpec

ENSEMBLE = registered(TrialKind("ensemble", sees_test=True, combines=True))

LEAST = 2
"""Final trainings, of which one is chosen."""


@stages.register("ensemble")
class EnsembleStage(Stage):
    """One trial, where the search asks for it: which networks it has follows from their outputs on
    validation, and is found by the worker that has the data.
    """

    kinds = (ENSEMBLE,)
    phase = "ensemble"
    after = ("finals",)

    def __init__(self, given: Given, earlier: Stages) -> None:
        self._settings, self._objectives = given.spec.ensemble, given.spec.objectives
        self._seed, self._finals = given.spec.seed, earlier[Finals]
        self._has_started = self._is_stopped = False

    @classmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        return int(spec.ensemble is not None)

    @property
    def wants(self) -> bool:
        if self._settings is None or self._has_started or self._is_stopped:
            return False
        return len(self._members) >= LEAST

    @property
    def ending(self) -> str | None:
        if self._settings is None or self._has_started or not self._finals.of_best:
            return None
        if self._is_stopped:
            return "the time budget ended before the ensemble"
        return (
            f"there is no ensemble: it takes {LEAST} final trainings with validation scores, "
            f"got {len(self._members)}"
        )

    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        if self._settings is None or not self.wants:
            return None
        finals = tuple(trial.number for trial in self._members)
        proposal = EnsembleProposal(finals, self._settings.size)
        key = sha256_of(proposal.to_json())
        return Trial(number, ENSEMBLE, proposal, TrialState.RUNNING, key, key, seed=self._seed)

    @property
    def _members(self) -> list[Trial]:
        """The finals that have a value of every objective."""
        finals = self._finals.of_best
        return [final for final in finals if fitness(final.metrics, self._objectives) is not None]

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        self._has_started = True

    def stop(self, *, is_asked_out: bool = False) -> None:
        self._is_stopped = True
