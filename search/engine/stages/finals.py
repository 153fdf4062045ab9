"""The final stage: the best candidates are trained again, from scratch and on several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from search.engine.archive import Tally
from search.engine.journal import TrialEnded, TrialStarted
from search.spec import SearchSpec
from search.trial import Candidate, Trial, TrialKind, TrialState


class FinalStage:
    """A fold over the starts and ends of final trials. The best candidate comes first, seed by
    seed; which they are no longer changes once the first has started.
    """

    def __init__(self, spec: SearchSpec) -> None:
        self._settings, self._seed = spec.final, spec.seed
        self._started = self._completed = 0
        self._reasons = Tally()

    @property
    def has_started(self) -> bool:
        return self._started > 0

    @property
    def failed_reason(self) -> str | None:
        """Why it has no result; None where it has one."""
        if self._completed:
            return None
        return f"no final training completed, most often {self._reasons}"

    def wants(self, best: Sequence[Trial]) -> bool:
        """Whether a further trial is to start, of these candidates."""
        return self._started < len(best) * self._settings.seeds

    def next_trial(self, number: int, best: Sequence[Trial]) -> Trial:
        """The trial to start as `number`, where one is wanted."""
        place, repetition = divmod(self._started, self._settings.seeds)
        chosen = best[place]
        update = {} if self._settings.epochs is None else {"epochs": self._settings.epochs}
        recipe = chosen.candidate.recipe.model_copy(update=update)
        return Trial(
            number,
            TrialKind.FINAL,
            Candidate(chosen.candidate.architecture, recipe),
            TrialState.RUNNING,
            chosen.architecture_key,
            recipe.key,
            seed=self._seed + 1 + repetition,
            source=chosen.number,
        )

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        """A final trial started or ended."""
        if isinstance(event, TrialStarted):
            self._started += 1
            return
        self._completed += event.trial.state is TrialState.COMPLETED
        if (failure := event.trial.failure) is not None:
            self._reasons.add(f"{failure.kind.value}: {failure.message}")
