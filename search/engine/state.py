"""What the events of a search add up to: counters, what runs, what is known, the best so far."""

from __future__ import annotations

from search.engine.archive import Archive, Tally
from search.engine.journal import (
    EpochReported,
    Event,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.objectives import Incumbents, violation
from search.spec import SearchSpec
from search.trial import Candidate, Trial, TrialKind, TrialState

MAX_REPEATS = 100
"""Proposals in a row that were all tried before, after which the space counts as exhausted."""

MAX_REFUSALS = 1000
"""Proposals refused without training since the last trial that cost budget, after which the space
counts as exhausted. More than the repeats, because a constraint may leave 1 % of a space.
"""


class SearchState:
    """A fold over events; the same events give the same state, live or in a replay. Epochs matter
    to searches with a fidelity rule alone.

    next_number: of the next trial.
    suggested, asked: trials that the opening and the strategy proposed.
    told: ended trials that the strategy knows; neither final ones nor those of the baseline.
    spent: ended candidates that cost budget.
    repeats: proposals in a row that were tried before, since the last new one or the last result.
    refusals: proposals that ended as infeasible since the last result.
    running: started and not ended, by number.
    paused: those of them that wait.
    pauses: their last pause, whether they still wait or not.
    reported: their furthest epoch.
    inherited: candidates that began with the weights of a supernet.
    reasons, final_reasons: why candidates and final trials have no usable result.
    """

    def __init__(self, spec: SearchSpec) -> None:
        self._constraints = spec.constraints
        self.next_number = self.told = self.spent = self.repeats = self.refusals = 0
        self.suggested = self.asked = 0
        self.finals_started = self.finals_completed = 0
        self.running: dict[int, Trial] = {}
        self.paused: set[int] = set()
        self.pauses: dict[int, TrialPaused] = {}
        self.reported: dict[int, EpochReported] = {}
        self.inherited: set[int] = set()
        self.archive = Archive()
        self.incumbents = Incumbents(len(spec.objectives), spec.final.top)
        self.reasons, self.final_reasons = Tally(), Tally()

    @property
    def in_flight(self) -> int:
        """Running trials that cost budget, unless they turn out to be infeasible."""
        return sum(not trial.is_repeat for trial in self.running.values())

    def apply(self, event: Event) -> None:
        match event:
            case TrialStarted():
                self._start(event.trial)
            case EpochReported():
                known = self.reported.get(event.number)
                if known is None or event.epoch > known.epoch:
                    self.reported[event.number] = event
            case TrialPaused():
                self.paused.add(event.number)
                self.pauses[event.number] = event
            case TrialResumed():
                self.paused.discard(event.number)
            case TrialEnded():
                self._forget(event.trial.number)
                if event.trial.kind is TrialKind.FINAL:
                    self._end_final(event.trial)
                elif event.trial.kind is not TrialKind.BASELINE:
                    self._end(event.trial)

    def _forget(self, number: int) -> None:
        self.running.pop(number, None)  # it was never there if an earlier search trained it
        self.paused.discard(number)
        self.pauses.pop(number, None)
        self.reported.pop(number, None)

    def _start(self, trial: Trial) -> None:
        self.next_number = trial.number + 1
        self.running[trial.number] = trial
        if trial.kind is TrialKind.FINAL:
            self.finals_started += 1
            return
        if trial.kind is TrialKind.BASELINE:
            return
        self.suggested += trial.origin is not None
        self.asked += trial.origin is None
        if trial.is_repeat:
            self.repeats += 1
        else:
            self.repeats = 0
            self.archive.open(trial)
            if isinstance(trial.proposal, Candidate) and trial.proposal.weights_from is not None:
                self.inherited.add(trial.number)

    def _end(self, trial: Trial) -> None:
        self.told += 1
        if trial.source_search is not None:
            self._take_over(trial)
            return
        if trial.is_repeat:
            return
        self.archive.close(trial)
        self.incumbents.add(trial)
        if trial.costs_budget:
            self.spent += 1
            self.repeats = self.refusals = 0
        else:
            self.refusals += 1
        if trial.failure is not None:
            self.reasons.add(f"{trial.failure.kind.value}: {trial.failure.message}")
        elif trial.fitness is None and not trial.is_supernet:
            self.reasons.add(violation(trial.metrics, self._constraints) or "no score")

    def _take_over(self, trial: Trial) -> None:
        """A result of an earlier search: it never ran here, and it can win here."""
        self.next_number = trial.number + 1
        self.archive.open(trial)
        self.archive.close(trial)
        self.incumbents.add(trial)

    def _end_final(self, trial: Trial) -> None:
        self.finals_completed += trial.state is TrialState.COMPLETED
        if trial.failure is not None:
            self.final_reasons.add(f"{trial.failure.kind.value}: {trial.failure.message}")
