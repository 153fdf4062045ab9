"""What is known of a candidate before training, and whether it is refused for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from models.family import InfeasibleError
from search.objectives import Constraint, violation
from search.trial import Candidate, Failure, FailureKind, Trial

Cost = Callable[[Candidate], Mapping[str, float]]
"""Parameters and FLOPs before training; raises InfeasibleError."""


class Screen(Protocol):
    """Scores of candidates before training."""

    def scores(self, candidate: Candidate) -> Mapping[str, float]:
        """Finite ones by name, kept among the metrics of the trial.

        Raises:
            models.family.InfeasibleError: no network can be built from the candidate.
        """

    def refusal(self, scores: Mapping[str, float]) -> str | None:
        """Why a candidate with these scores is not trained."""


class Feasibility:
    """Holds candidates to the limits on what they cost, and to the screen, whose scores it keeps
    while they run.

    Without a limit on the cost nobody counts it here: a network that cannot be built is then
    refused by the evaluator, in the same way.
    """

    def __init__(self, cost: Cost, limits: Sequence[Constraint], screen: Screen | None) -> None:
        self._cost, self._limits, self._screen = cost, limits, screen
        self._scores: dict[int, Mapping[str, float]] = {}

    def refusal(self, trial: Trial) -> tuple[Failure | None, Mapping[str, float]]:
        """Why a trial is not trained, with its cost and its scores; None: it is.

        The screen refuses what the strategy asks for; of the baseline it only keeps the scores:
        random search alone knows no filter.
        """
        if not isinstance(trial.proposal, Candidate):
            return None, {}
        metrics: Mapping[str, float] = {}
        reason: str | None = None
        try:
            if self._limits:
                metrics = self._cost(trial.proposal)
                reason = violation(metrics, self._limits)
            if reason is None and self._screen is not None:
                self._scores[trial.number] = scores = self._screen.scores(trial.proposal)
                metrics = {**metrics, **scores}
                if trial.kind.is_told:
                    reason = self._screen.refusal(scores)
        except InfeasibleError as error:
            return Failure(FailureKind.INFEASIBLE, str(error)), {}
        except Exception as error:  # of this candidate: it has failed, the search goes on
            return Failure(FailureKind.ERROR, f"{type(error).__name__}: {error}"), {}
        return (Failure(FailureKind.INFEASIBLE, reason) if reason else None), metrics

    def scores(self, trial: Trial) -> Mapping[str, float]:
        """By the screen, of a trial that runs. Those of a candidate that a crash left paused, or
        due to be stopped, are worked out again.
        """
        is_lost = trial.kind.stops_early and trial.number not in self._scores
        if is_lost and self._screen is not None:
            self._scores[trial.number] = self._screen.scores(trial.candidate)
        return self._scores.get(trial.number, {})

    def forget(self, number: int) -> None:
        """A trial has ended."""
        self._scores.pop(number, None)
