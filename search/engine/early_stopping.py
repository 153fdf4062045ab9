"""Which trials are stopped or have to wait before their last epoch: the fidelity rule of a search,
told what the journal has (docs/adr/0015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from search.engine.journal import (
    EpochReported,
    Event,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.fidelity import Action, Verdict
from search.objectives import fitness
from search.spec import SearchSpec
from search.trial import Trial


class EarlyStopping:
    """A fold over all events of a search. The rule hears of what is trained to be compared:
    of candidates that are no repeats.

    A verdict counts when the journal has it; until then it is `due`. One that a crash kept out of
    the journal is made again, because the epoch that it follows from is there.

    listens: whether the rule has to be told anything.
    """

    def __init__(self, spec: SearchSpec) -> None:
        self._rule = spec.fidelity_rule()
        self._objectives, self._limits = spec.objectives, spec.measured_limits
        self.listens = self._rule.listens
        self._trials: dict[int, Trial] = {}  # started and not ended
        self._reports: dict[int, EpochReported] = {}  # their furthest
        self._pauses: dict[int, TrialPaused] = {}  # their last, whether they still wait or not
        self._paused: set[int] = set()
        self._due: dict[int, Verdict] = {}

    @property
    def due(self) -> tuple[tuple[int, Verdict], ...]:
        """To pause or to stop a trial: decided, and not yet in the journal."""
        return tuple(self._due.items())

    def settle(self, *, is_closing: bool) -> tuple[int, Verdict] | None:
        """What to do about a paused trial now, as `FidelityRule.settle` has it."""
        return self._rule.settle(is_closing=is_closing)

    def is_paused(self, number: int) -> bool:
        return number in self._paused

    def epoch_before(self, number: int) -> int:
        """Of the last pause, after which a trial goes on; 0 for others."""
        pause = self._pauses.get(number)
        return pause.epoch if pause else 0

    def seconds_before(self, number: int) -> float:
        """Of training until the last pause."""
        pause = self._pauses.get(number)
        return pause.seconds if pause else 0.0

    def metrics(self, number: int) -> Mapping[str, float]:
        """Of the furthest epoch of a trial."""
        return self._reports[number].metrics

    def event(self, number: int, verdict: Verdict, seconds: float) -> TrialPaused | TrialResumed:
        """By which a verdict is carried out that stops no trial. `seconds`: of training since it
        began or went on.
        """
        if verdict.action is Action.CONTINUE:
            return TrialResumed(number)
        epoch = self._reports[number].epoch
        return TrialPaused(number, epoch, self.seconds_before(number) + seconds)

    def apply(self, event: Event) -> None:
        if not self.listens:
            return
        match event:
            case TrialStarted(trial=trial) if _is_compared(trial):
                self._rule.started(trial.number)
                self._trials[trial.number] = trial
            case EpochReported():
                self._hear(event)
            case TrialPaused(number=number):
                self._due.pop(number, None)
                self._pauses[number] = event
                self._paused.add(number)
            case TrialResumed(number=number):
                self._rule.resumed(number)
                self._paused.discard(number)
            case TrialEnded(trial=trial) if _is_compared(trial):
                self._rule.ended(trial)
                self._forget(trial.number)

    def _hear(self, report: EpochReported) -> None:
        """Tell the rule of an epoch that it has not heard of."""
        trial, known = self._trials.get(report.number), self._reports.get(report.number)
        if trial is None or (known is not None and report.epoch <= known.epoch):
            return
        score = fitness(report.metrics, self._objectives, self._limits)
        verdict = self._rule.reported(
            report.number,
            report.epoch,
            -math.inf if score is None else score[0],
            is_last=report.epoch >= trial.candidate.recipe.epochs,
        )
        self._reports[report.number] = report
        if verdict.action is not Action.CONTINUE:
            self._due[report.number] = verdict

    def _forget(self, number: int) -> None:
        for known in (self._trials, self._reports, self._pauses, self._due):
            known.pop(number, None)
        self._paused.discard(number)


def _is_compared(trial: Trial) -> bool:
    return trial.kind.stops_early and trial.source is None
