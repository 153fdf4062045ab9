"""The final stage: the best candidates, and then the known networks that they are compared with,
are trained again, from scratch and on several seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.engine.archive import Tally
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stage, Stages, stages
from search.engine.stages.baseline import Baseline
from search.engine.stages.candidates import Candidates
from search.trial import Candidate, FailureKind, Trial, TrialState
from search.trial_kind import TrialKind, registered

if TYPE_CHECKING:
    from models.recipe import Recipe
    from search.spec import SearchSpec

FINAL = registered(TrialKind("final", sees_test=True, retrains=True))


@stages.register("finals")
class Finals(Stage):
    """The best candidate comes first, seed by seed; which they are no longer changes once the first
    has started.
    """

    kinds = (FINAL,)
    phase = "final"
    after = ("baseline", "candidates")

    def __init__(self, given: Given, earlier: Stages) -> None:
        self._settings, self._seed = given.spec.final, given.spec.seed
        self._candidates, self._baseline = earlier[Candidates], earlier[Baseline]
        self._networks = given.networks_per_trial
        self._started = 0
        self._trained: list[Trial] = []
        self._is_stopped = False
        self._reasons = Tally()

    @classmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        best = min(spec.final.top, Candidates.counts(spec, distinct))
        return (best + len(spec.presets)) * spec.final.seeds

    @property
    def wants(self) -> bool:
        left = len(self._chosen) * self._settings.seeds - self._started
        return left > 0 and not self._is_stopped

    @property
    def has_enough(self) -> bool:
        return bool(self._trained)

    @property
    def trial_seconds(self) -> float:
        return max(self._costs, default=0.0)

    def seconds_left(self, lanes: int) -> float:
        return math.ceil(len(self._costs) / lanes) * self.trial_seconds

    @property
    def of_best(self) -> list[Trial]:
        """Those runs of the best candidates that were trained to their end, in their order."""
        best = {trial.number for trial in self._candidates.best}
        return sorted(
            (trial for trial in self._trained if trial.source in best),
            key=lambda trial: trial.number,
        )

    @property
    def _costs(self) -> list[float]:
        """Seconds of each run that is still to start: as many an epoch as its candidate took, of
        which every fold trained a network. On `train+val` it may train twice.
        """
        if self._is_stopped:
            return []
        runs = [
            trial.seconds
            / self._networks
            * self._trainings(trial)
            * self._recipe(trial).epochs
            / trial.candidate.recipe.epochs
            for trial in self._chosen
            for _ in range(self._settings.seeds)
        ]
        return runs[self._started :]

    @property
    def reason(self) -> str | None:
        """Nothing to retrain is for the candidates to say."""
        if self._trained or not self._started:
            return None
        return f"no final training completed, most often {self._reasons}"

    @property
    def ending(self) -> str | None:
        wanted = len(self._chosen) * self._settings.seeds
        if not self._is_stopped or self._started >= wanted:
            return None
        return f"the time budget ended after {self._started} of {wanted} final trainings"

    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        if not self.wants:
            return None
        place, repetition = divmod(self._started, self._settings.seeds)
        chosen = self._chosen[place]
        recipe = self._recipe(chosen)
        return Trial(
            number,
            FINAL,
            Candidate(chosen.candidate.architecture, recipe),
            TrialState.RUNNING,
            chosen.architecture_key,
            recipe.key,
            seed=self._seed + 1 + repetition,
            source=chosen.number,
        )

    @property
    def _chosen(self) -> list[Trial]:
        """The trials whose networks are retrained; a known network that is one of the best once."""
        best = self._candidates.best
        if not best:
            return []
        numbers = {trial.number for trial in best}
        return [*best, *(known for known in self._baseline.known if known.source not in numbers)]

    def _trainings(self, chosen: Trial) -> int:
        is_retrained = self._settings.data == "train+val" and self._recipe(chosen).early_stopping
        return 2 if is_retrained else 1

    def _recipe(self, chosen: Trial) -> Recipe:
        said = {"epochs": self._settings.epochs, "early_stopping": self._settings.patience}
        update = {name: value for name, value in said.items() if value is not None}
        return chosen.candidate.recipe.model_copy(update=update)

    def stop(self, *, is_asked_out: bool = False) -> None:
        self._is_stopped = True

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        if isinstance(event, TrialStarted):
            self._started += 1
            return
        failure = event.trial.failure
        if failure is None or failure.kind is FailureKind.BUNDLE:  # found out long after the stage
            self._trained.append(event.trial)
        if failure is not None:
            self._reasons.add(f"{failure.kind.value}: {failure.message}")
