"""A search without its engine: what to run next, what a result means, when it is over.

A `SearchRun` is a fold over its journal. Every change is an event that is appended first and then
applied, by the same code that applies the history of a journal after a crash: a result counts
when it is in the journal, and the strategy is told nothing else.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from models.architecture import Architecture, sha256_of
from models.families import InfeasibleError
from search.engine.baseline import Baseline
from search.engine.journal import (
    EpochReported,
    Event,
    Journal,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.engine.opening import Opening, Suggestion, no_opening
from search.engine.state import MAX_REFUSALS, MAX_REPEATS, SearchState
from search.evaluators import derived_from
from search.fidelity import Action, Decision
from search.objectives import excess, fitness, violation
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategies import Strategy
from search.trial import (
    Candidate,
    Failure,
    FailureKind,
    Proposal,
    Trial,
    TrialKind,
    TrialState,
    finite,
)

TEST_PREFIX = "test_"

Cost = Callable[[Candidate], Mapping[str, float]]
"""Parameters and FLOPs before training; raises InfeasibleError."""

SCORED = (TrialKind.CANDIDATE, TrialKind.BASELINE)
"""Trials that have failed without a value for every objective."""

Phase = Literal["searching", "baseline", "final", "done"]


class Screen(Protocol):
    """Scores of candidates before training."""

    def scores(self, candidate: Candidate) -> Mapping[str, float]:
        """Finite ones by name, kept among the metrics of the trial.

        Raises:
            models.families.InfeasibleError: no network can be built from the candidate.
        """

    def refusal(self, scores: Mapping[str, float]) -> str | None:
        """Why a candidate with these scores is not trained."""


class SearchRun:
    """One search, for an engine that runs what `next_trial` gives and reports what came of it.

    The trials of a journal that started and never ended are given out again, under their numbers.
    A trial that the fidelity rule pauses is given out again when the rule has it go on.
    A repeat of an ended trial becomes `cached` with its metrics, or its failure; a repeat of a
    running trial waits for that one and is then answered in the same way, while the strategy is
    asked on. Neither costs budget. The trials of the baseline, where the search has one,
    follow the strategy's last one. Not safe for threads.
    """

    def __init__(
        self,
        spec: SearchSpec,
        space: SearchSpace,
        strategy: Strategy,
        journal: Journal,
        cost: Cost,
        opening: Opening = no_opening,
        screen: Screen | None = None,
    ) -> None:
        """`spec` is resolved (`search.resolve`); `strategy` has been told nothing. What `opening`
        suggests is tried before the strategy is asked; what `screen` refuses is infeasible.
        """
        self.spec = spec
        self._space, self._strategy, self._journal, self._cost = space, strategy, journal, cost
        self._cost_limits = spec.cost_limits
        self._limits = [limit for limit in spec.constraints if limit not in self._cost_limits]
        self._budget_trials = spec.budget.trials
        self._budget_seconds = math.inf if spec.budget.seconds is None else spec.budget.seconds
        self._stopped = self._cancelled = self._is_asked_out = False
        self._opening, self._screen = opening, screen
        self._scores: dict[int, Mapping[str, float]] = {}  # of trials that run
        self._suggestions: Sequence[Suggestion] | None = None
        self._waiting: dict[int, list[int]] = {}
        self._baseline = Baseline(space, spec)
        self._state = SearchState(spec)
        self._rule = spec.fidelity_rule()
        self._due: dict[int, Decision] = {}  # decided, and not yet in the journal
        for event in journal.full_history() if self._rule.listens else journal.history():
            self._apply(event)
        running = self._state.running
        self._resumed = deque(sorted(running, key=lambda n: (not running[n].is_repeat, n)))

    @property
    def phase(self) -> Phase:
        """`searching` among candidates, the `baseline` to compare with, `final` training of the
        best, or `done`.
        """
        state = self._state
        if self._cancelled:
            return "done"
        if not state.finals_started:
            is_open = state.running or not self._is_closed()
            if is_open and not self._baseline.has_started:
                return "searching"
            if state.running or self._wants_baseline:
                return "baseline"
        return "final" if state.running or state.finals_started < self._finals else "done"

    @property
    def finished(self) -> bool:
        return self.phase == "done"

    @property
    def failed_reason(self) -> str | None:
        """Why a finished search has no result; None where it has one or was cancelled."""
        if not self.finished or self._cancelled:
            return None
        if not self._state.incumbents:
            return f"no trial gave a usable result, most often {self._state.reasons}"
        if not self._state.finals_completed:
            return f"no final training completed, most often {self._state.final_reasons}"
        return None

    @property
    def exhausted_reason(self) -> str | None:
        """Why the search stage ended before its budget, where the space had nothing more to try."""
        state = self._state
        if self.phase == "searching":
            return None
        if self._is_asked_out:
            return "the strategy had nothing more to ask for"
        if not self._is_exhausted:
            return None
        what = "architectures"
        if self._space.searches_recipe:
            what = "pairs of architecture and recipe"
        reason = f"the search space is exhausted after {len(state.archive)} distinct {what}"
        if state.refusals >= MAX_REFUSALS:
            reason += f": {state.refusals} in a row were refused, most often {state.reasons}"
        return reason

    @property
    def running(self) -> tuple[Trial, ...]:
        """Started and not ended, by number; paused ones included, and repeats that wait for one."""
        return tuple(self._state.running.values())

    def is_active(self, number: int) -> bool:
        """Whether an engine is to train the trial now: it has not ended and is not paused."""
        return number in self._state.running and number not in self._state.paused

    def last_epoch_of(self, trial: Trial) -> int:
        """After which a trial that was paused goes on; 0 for others. Its reports up to then are in
        the journal.
        """
        pause = self._state.pauses.get(trial.number)
        return pause.epoch if pause else 0

    @property
    def trials(self) -> list[Trial]:
        """All so far, by number, read back from the journal."""
        trials = {event.trial.number: event.trial for event in self._journal.history()}
        return [trials[number] for number in sorted(trials)]

    @property
    def best(self) -> list[Trial]:
        """The candidates that would go to the final stage now, best first."""
        return self._state.incumbents.best()

    @property
    def trials_spent(self) -> int:
        """Ended candidates that cost budget."""
        return self._state.spent

    @property
    def budget_trials(self) -> int:
        return self._budget_trials

    @property
    def budget_seconds(self) -> float:
        """Wall seconds of the search stage, for the engine to watch; infinite: no limit."""
        return self._budget_seconds

    def set_budget(self, trials: int | None = None, seconds: float | None = None) -> None:
        """Another budget from now on; None leaves it as it is.

        Running trials are finished. Once a trial of the baseline or a final one has started, the
        search stage is over for good.
        """
        self._budget_trials = self._budget_trials if trials is None else trials
        self._budget_seconds = self._budget_seconds if seconds is None else seconds

    def prepare(self) -> None:
        """Work out the opening, where it is needed; else the first `next_trial` takes that time."""
        if self.phase == "searching" and not self._state.asked and self._suggestions is None:
            self._suggestions = self._opening()

    def next_trial(self) -> Trial | None:
        """The next trial to run; None where there is nothing to start until a running one ends.

        Raises:
            Exception: whatever the strategy raises; the search cannot go on then.
        """
        self._carry_out()
        while self._resumed:
            trial = self._state.running.get(self._resumed.popleft())
            if trial is not None and self.is_active(trial.number) and self._is_to_run(trial):
                return trial
        if self.phase == "searching" and (trial := self._settle()) is not None:
            return trial
        while self.phase == "searching" and not self._is_closed():
            asked = self._ask()
            if asked is None:
                if any(map(self.is_active, self._state.running)):
                    return None
                self._is_asked_out = True
                return self._settle() or self.next_trial()
            if self._is_to_run(asked):
                return asked
        while self.phase == "baseline" and self._wants_baseline:
            drawn = self._draw_baseline()
            if drawn is not None and self._is_to_run(drawn):
                return drawn
        if self.phase == "final" and self._state.finals_started < self._finals:
            return self._start_final()
        return None

    def report(
        self,
        number: int,
        epoch: int,
        metrics: Mapping[str, float],
        seconds: float = 0.0,
        worker: str | None = None,
    ) -> None:
        """One epoch of a running trial; ignored after its end and while it is paused. Leaves out
        what is not finite. Afterwards the trial may have been pruned or paused: `is_active` says.

        A trial that runs again after a crash reports its epochs again. `seconds`: since the worker
        began, or went on, with the trial.
        """
        trial = self._get(number)
        if trial is not None and self.is_active(number):
            self._refuse_test_metrics(trial, metrics)
            self._record(EpochReported(number, epoch, finite(metrics), derived_from(metrics)))
            self._carry_out(seconds, worker)

    def complete(
        self, number: int, metrics: Mapping[str, float], seconds: float, worker: str | None = None
    ) -> None:
        """The result of a running trial; what comes after a trial's end is ignored.

        A candidate without a finite value for every objective has failed. Other values that are
        not finite are left out.

        Raises:
            ValueError: no such trial, or a candidate reports a test metric.
        """
        trial = self._get(number)
        if trial is None:
            return
        self._refuse_test_metrics(trial, metrics)
        if trial.kind in SCORED and (failure := self._missing(metrics)):
            return self.fail(number, failure, seconds, worker)
        self._end(
            trial,
            state=TrialState.COMPLETED,
            metrics={**self._scores.get(number, {}), **finite(metrics)},
            seconds=seconds,
            worker=worker,
            derived=derived_from(metrics),
        )

    def fail(
        self,
        number: int,
        failure: Failure,
        seconds: float,
        worker: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """A running trial has no result; the search goes on. `metrics`: what was found out of it,
        as the latency of one that was refused for it.
        """
        if trial := self._get(number):
            self._refuse_test_metrics(trial, metrics or {})
            known = {**self._scores.get(number, {}), **finite(metrics)} if metrics else {}
            self._end(
                trial,
                state=TrialState.FAILED,
                metrics=known,
                failure=failure,
                seconds=seconds,
                worker=worker,
            )

    def prune(
        self, number: int, failure: Failure, seconds: float = 0.0, worker: str | None = None
    ) -> None:
        """A running trial was stopped on purpose."""
        if trial := self._get(number):
            self._end(
                trial, state=TrialState.PRUNED, failure=failure, seconds=seconds, worker=worker
            )

    def stop_searching(self, reason: str) -> tuple[int, ...]:
        """End the search stage: prune the running candidates, go on with the final stage.

        Returns the numbers that were pruned, for the engine to stop; none after the search stage.
        """
        if self.phase != "searching":
            return ()
        self._stopped = True
        return self._prune_all(Failure(FailureKind.BUDGET, reason))

    def cancel(self, reason: str = "the search was cancelled") -> tuple[int, ...]:
        """End the search: prune whatever runs. Returns the numbers that were pruned."""
        if self.finished:
            return ()
        self._cancelled = True
        return self._prune_all(Failure(FailureKind.CANCELLED, reason))

    def _carry_out(self, seconds: float = 0.0, worker: str | None = None) -> None:
        """What the fidelity rule decided last; after a crash, what it had decided before."""
        for number, decision in tuple(self._due.items()):
            if decision.action is Action.STOP:
                self._stop(number, decision.reason, seconds, worker)
            else:
                before = self._seconds_before(number)
                epoch = self._state.reported[number].epoch
                self._record(TrialPaused(number, epoch, before + seconds))

    def _settle(self) -> Trial | None:
        """Stop the paused trials that are out; the next one that goes on."""
        while (settled := self._rule.settle(is_closing=self._is_closed())) is not None:
            number, decision = settled
            if decision.action is Action.CONTINUE:
                self._record(TrialResumed(number))
                return self._state.running[number]
            self._stop(number, decision.reason)
        return None

    def _stop(
        self, number: int, reason: str, seconds: float = 0.0, worker: str | None = None
    ) -> None:
        self._end(
            self._state.running[number],
            state=TrialState.PRUNED,
            metrics={**self._scores.get(number, {}), **self._state.reported[number].metrics},
            failure=Failure(FailureKind.FIDELITY, reason),
            seconds=seconds,
            worker=worker,
        )

    def _seconds_before(self, number: int) -> float:
        """Of training until the last pause."""
        pause = self._state.pauses.get(number)
        return pause.seconds if pause else 0.0

    def _ask(self) -> Trial | None:
        number = self._state.next_number
        suggestion = self._suggestion()
        proposal: Proposal | None
        if suggestion is None:
            proposal, origin = self._strategy.ask(number, self.running), None
            if proposal is None:
                return None
        else:
            proposal, origin = suggestion.candidate, suggestion.origin
        if isinstance(proposal, Candidate):
            kind, keys = TrialKind.CANDIDATE, self._space.keys(proposal)
        else:
            key = sha256_of(proposal.to_json())
            kind, keys = TrialKind.SUPERNET, (key, key)
        trial = Trial(
            number,
            kind,
            proposal,
            TrialState.RUNNING,
            *keys,
            seed=self.spec.seed,
            source=self._state.archive.first(*keys),
            origin=origin,
        )
        return self._start(trial)

    def _suggestion(self) -> Suggestion | None:
        """The next of the opening; None once the strategy is to be asked."""
        self.prepare()
        if self._state.asked or self._state.suggested >= len(self._suggestions or ()):
            return None
        return (self._suggestions or ())[self._state.suggested]

    def _draw_baseline(self) -> Trial | None:
        """A network that the strategy has trained as well is answered from there and counts all
        the same: random search alone would have trained it. Not from a result that began with
        weights of a supernet, which random search alone has not.
        """
        number = self._state.next_number
        candidate = self._baseline.ask(number)
        if candidate is None:
            return None
        keys = self._space.keys(candidate)
        source = self._state.archive.first(*keys)
        if source is not None and (
            source in self._state.inherited or self._state.archive.result(source)[1] is not None
        ):
            source = None
        trial = Trial(
            number,
            TrialKind.BASELINE,
            candidate,
            TrialState.RUNNING,
            *keys,
            seed=self.spec.seed,
            source=source,
        )
        return self._start(trial)

    def _start_final(self) -> Trial:
        """Training of a candidate from scratch: of the best one first, seed by seed."""
        place, repetition = divmod(self._state.finals_started, self.spec.final.seeds)
        best = self._state.incumbents.best()[place]
        update = {} if self.spec.final.epochs is None else {"epochs": self.spec.final.epochs}
        recipe = best.candidate.recipe.model_copy(update=update)
        trial = Trial(
            self._state.next_number,
            TrialKind.FINAL,
            Candidate(best.candidate.architecture, recipe),
            TrialState.RUNNING,
            best.architecture_key,
            recipe.key,
            seed=self.spec.seed + 1 + repetition,
            source=best.number,
        )
        return self._start(trial)

    def _start(self, trial: Trial) -> Trial:
        self._record(TrialStarted(trial, self._state.told, tuple(self._state.running)))
        return trial

    def _is_to_run(self, trial: Trial) -> bool:
        """Whether a started trial has to be trained; else it is answered here, now or later."""
        if trial.kind is TrialKind.FINAL:
            return True
        if trial.source is not None:
            if trial.source in self._state.running:
                self._waiting.setdefault(trial.source, []).append(trial.number)
            else:
                self._answer(trial)
            return False
        if self._is_preset(trial):
            return True
        failure, metrics = self._refusal(trial)
        if failure is None:
            return True
        self._end(trial, state=TrialState.FAILED, metrics=metrics, failure=failure)
        return False

    def _refusal(self, trial: Trial) -> tuple[Failure | None, Mapping[str, float]]:
        """Why a proposal is not trained, with its cost. Without a limit on the cost nobody counts
        it here: a network that cannot be built is then refused by the evaluator, in the same way.

        The baseline is scored and not filtered: random search alone knows no filter.
        """
        if not isinstance(trial.proposal, Candidate):
            return None, {}
        metrics: Mapping[str, float] = {}
        reason: str | None = None
        try:
            if self._cost_limits:
                metrics = self._cost(trial.proposal)
                reason = violation(metrics, self._cost_limits)
            if reason is None and self._screen is not None:
                self._scores[trial.number] = scores = self._screen.scores(trial.proposal)
                metrics = {**metrics, **scores}
                if trial.kind is TrialKind.CANDIDATE:
                    reason = self._screen.refusal(scores)
        except InfeasibleError as error:
            return Failure(FailureKind.INFEASIBLE, str(error)), {}
        except Exception as error:  # of this candidate: it has failed, the search goes on
            return Failure(FailureKind.ERROR, f"{type(error).__name__}: {error}"), {}
        return (Failure(FailureKind.INFEASIBLE, reason) if reason else None), metrics

    def _is_preset(self, trial: Trial) -> bool:
        """Known networks are compared with, whatever they cost."""
        return trial.kind is TrialKind.BASELINE and self._baseline.is_preset(trial)

    def _answer(self, trial: Trial) -> None:
        """End a repeat with the result of its source."""
        assert trial.source is not None  # noqa: S101 - for the type checker
        metrics, failure = self._state.archive.result(trial.source)
        self._end(trial, state=TrialState.CACHED, metrics=metrics, failure=failure)

    def _end(
        self,
        trial: Trial,
        *,
        state: TrialState,
        metrics: Mapping[str, float] | None = None,
        failure: Failure | None = None,
        seconds: float = 0.0,
        worker: str | None = None,
        derived: Architecture | None = None,
    ) -> None:
        metrics = metrics or {}
        is_free = trial.kind is TrialKind.FINAL or self._is_preset(trial)
        limits = () if is_free else self._limits
        ended = replace(
            trial,
            state=state,
            metrics=metrics,
            fitness=None if failure else fitness(metrics, self.spec.objectives, limits),
            violation=excess(metrics, self.spec.constraints),
            failure=failure,
            seconds=self._seconds_before(trial.number) + seconds,
            worker=worker,
            derived=derived,
        )
        self._scores.pop(trial.number, None)
        self._record(TrialEnded(ended))
        for number in self._waiting.pop(trial.number, ()):
            self._answer(self._state.running[number])

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        """The one place where the search changes. The strategy never hears of final trials, nor of
        those of the baseline, and nor does the fidelity rule.
        """
        self._inform_rule(event)
        self._state.apply(event)
        if not isinstance(event, TrialStarted | TrialEnded):
            return
        if event.trial.kind is TrialKind.BASELINE:
            self._baseline.apply(event)
        elif isinstance(event, TrialEnded) and event.trial.is_told:
            self._strategy.tell(event.trial)

    def _inform_rule(self, event: Event) -> None:
        if not self._rule.listens:
            return
        match event:
            case TrialStarted(trial=trial) if _has_fidelity(trial):
                self._rule.started(trial.number)
            case EpochReported():
                self._hear(event)
            case TrialPaused(number=number):
                self._due.pop(number, None)
            case TrialResumed(number=number):
                self._rule.resumed(number)
            case TrialEnded(trial=trial) if _has_fidelity(trial):
                self._due.pop(trial.number, None)
                self._rule.ended(trial)

    def _hear(self, report: EpochReported) -> None:
        """Tell the rule of an epoch that it has not heard of."""
        trial = self._state.running[report.number]
        known = self._state.reported.get(report.number)
        if not _has_fidelity(trial) or (known is not None and report.epoch <= known.epoch):
            return
        score = fitness(report.metrics, self.spec.objectives, self._limits)
        decision = self._rule.reported(
            report.number,
            report.epoch,
            -math.inf if score is None else score[0],
            is_last=report.epoch >= trial.candidate.recipe.epochs,
        )
        if decision.action is not Action.CONTINUE:
            self._due[report.number] = decision

    @property
    def _is_exhausted(self) -> bool:
        return self._state.repeats >= MAX_REPEATS or self._state.refusals >= MAX_REFUSALS

    def _is_closed(self) -> bool:
        """Whether no further candidate may start now."""
        spent = self._state.spent + self._state.in_flight
        is_over = self._stopped or self._is_asked_out or self._is_exhausted
        return is_over or spent >= self._budget_trials

    @property
    def _wants_baseline(self) -> bool:
        """Whether a further trial of the baseline is to start, of a search that found something."""
        return bool(self._state.incumbents) and self._baseline.wants(self._state.spent)

    @property
    def _finals(self) -> int:
        """How many final trials there are, known once the search stage is over."""
        return len(self._state.incumbents.best()) * self.spec.final.seeds

    def _prune_all(self, failure: Failure) -> tuple[int, ...]:
        numbers = [n for n, trial in self._state.running.items() if not trial.is_repeat]
        for number in numbers:  # the repeats that wait for one end with it
            self.prune(number, failure)
        for number in tuple(self._state.running):  # repeats left over from a crash
            self._answer(self._state.running[number])
        return tuple(numbers)

    def _get(self, number: int) -> Trial | None:
        """A running trial; None after its end."""
        if not 0 <= number < self._state.next_number:
            raise ValueError(f"no trial {number}, the last is {self._state.next_number - 1}")
        return self._state.running.get(number)

    def _missing(self, metrics: Mapping[str, float]) -> Failure | None:
        for name in (objective.metric for objective in self.spec.objectives):
            if name not in metrics:
                message = f"the result lacks the objective {name}, got {sorted(metrics)}"
                return Failure(FailureKind.ERROR, message)
            if not math.isfinite(metrics[name]):
                return Failure(FailureKind.NON_FINITE, f"{name} is {metrics[name]}")
        return None

    @staticmethod
    def _refuse_test_metrics(trial: Trial, metrics: Mapping[str, float]) -> None:
        """The test split is for final trials, which no strategy is told of."""
        leaked = sorted(name for name in metrics if name.startswith(TEST_PREFIX))
        if leaked and trial.kind is not TrialKind.FINAL:
            raise ValueError(f"trial {trial.number} is no final one and must not report {leaked}")


def _has_fidelity(trial: Trial) -> bool:
    """Whether the fidelity rule hears of a trial: of one that is trained to be compared."""
    return trial.kind is TrialKind.CANDIDATE and trial.source is None
