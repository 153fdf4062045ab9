"""The median stopping rule, Golovin et al., KDD 2017, https://doi.org/10.1145/3097983.3098043,
section 3.2.2.

A trial is stopped after epoch s if its best value by then is strictly worse than the median, over
the completed trials, of the running average of their values up to s.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict

from pydantic import Field

from search.fidelity import (
    CONTINUE,
    Action,
    FidelityRule,
    FidelitySettings,
    Verdict,
    fidelities,
    shown,
)
from search.objectives import Objective
from search.trial import Trial, TrialState


@fidelities.register("median")
class MedianStopping(FidelityRule):
    """Stops a trial whose best epoch is worse than the median of what others averaged by then."""

    class Settings(FidelitySettings):
        """When it begins to judge."""

        min_trials: int = Field(
            5, ge=1, le=100_000, description="completed trials before any trial is stopped"
        )
        grace_epochs: int = Field(
            1, ge=1, le=10_000, description="epochs that every trial is trained"
        )

    def __init__(self, settings: Settings, objective: Objective, max_epochs: int) -> None:
        self._settings, self._objective = settings, objective
        self.rungs = range(settings.grace_epochs, max_epochs)
        self._values: dict[int, dict[int, float]] = {}
        self._averages: dict[int, list[float]] = defaultdict(list)  # by epoch, sorted

    def started(self, number: int) -> None:
        self._values[number] = {}

    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        values, averages = self._values[number], self._averages[epoch]
        values[epoch] = value
        is_free = is_last or epoch not in self.rungs
        if is_free or len(averages) < self._settings.min_trials:
            return CONTINUE
        best, middle = max(values.values()), _median(averages)
        if best >= middle:
            return CONTINUE
        return Verdict(
            Action.STOP,
            f"pruned by median at epoch {epoch}: its best, {shown(self._objective, best)}, is "
            f"worse than {shown(self._objective, middle)}, the median of {len(averages)} trials",
        )

    def ended(self, trial: Trial) -> None:
        values = self._values.pop(trial.number)
        if trial.state is not TrialState.COMPLETED:
            return
        total = 0.0
        for count, (epoch, value) in enumerate(values.items(), start=1):
            total += value
            insort(self._averages[epoch], total / count)


def _median(ordered: list[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
