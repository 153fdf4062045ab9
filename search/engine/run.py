"""A search without its engine: what to run next, what a result means, when it is over.

A `SearchRun` is a fold over its journal. Every change is an event that is appended first and then
applied, by the same code that applies the history of a journal after a crash: a result counts
when it is in the journal, and the strategy is told nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from search.engine.early_stopping import EarlyStopping
from search.engine.feasibility import Cost, Feasibility, Screen
from search.engine.journal import EpochReported, Event, Journal, TrialEnded, TrialStarted
from search.engine.scoring import Scoring
from search.engine.stages.baseline import Baseline
from search.engine.stages.candidates import SearchStage
from search.engine.stages.finals import FinalStage
from search.engine.suggestions import Suggestions, no_suggestions
from search.evaluation import derived_from
from search.fidelity import Action, Verdict
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategy import Strategy
from search.trial import Failure, FailureKind, Trial, TrialKind, TrialState, finite

Phase = Literal["searching", "baseline", "final", "done"]


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
        suggestions: Suggestions = no_suggestions,
        screen: Screen | None = None,
    ) -> None:
        """`spec` is resolved (`search.request.resolve`); `strategy` has been told nothing. What
        `suggestions` gives is tried before the strategy is asked; what `screen` refuses is
        infeasible.
        """
        self.spec = spec
        self._journal = journal
        self._search_stage = SearchStage(spec, space, strategy, suggestions)
        self._baseline = Baseline(space, spec)
        self._final_stage = FinalStage(spec)
        self._early_stopping = EarlyStopping(spec)
        self._feasibility = Feasibility(cost, spec.cost_limits, screen)
        self._scoring = Scoring(spec)
        self._next_number = 0
        self._running: dict[int, Trial] = {}  # started and not ended
        self._waiting: dict[int, list[int]] = {}  # repeats by what answers them
        self._is_cancelled = False
        events = journal.full_history() if self._early_stopping.listens else journal.history()
        for event in events:
            self._apply(event)
        running = self._running
        self._resumed = deque(sorted(running, key=lambda n: (not running[n].is_repeat, n)))

    @property
    def phase(self) -> Phase:
        """`searching` among candidates, the `baseline` to compare with, `final` training of the
        best, or `done`.
        """
        if self._is_cancelled:
            return "done"
        if not self._final_stage.has_started:
            is_open = self._running or not self._search_stage.is_closed
            if is_open and not self._baseline.has_started:
                return "searching"
            if self._running or self._wants_baseline:
                return "baseline"
        return "final" if self._running or self._wants_final else "done"

    @property
    def finished(self) -> bool:
        return self.phase == "done"

    @property
    def failed_reason(self) -> str | None:
        """Why a finished search has no result; None where it has one or was cancelled."""
        if not self.finished or self._is_cancelled:
            return None
        return self._search_stage.failed_reason or self._final_stage.failed_reason

    @property
    def exhausted_reason(self) -> str | None:
        """Why the search stage ended before its budget, where the space had nothing more to try."""
        return None if self.phase == "searching" else self._search_stage.exhausted_reason

    @property
    def running(self) -> tuple[Trial, ...]:
        """Started and not ended, by number; paused ones included, and repeats that wait for one."""
        return tuple(self._running.values())

    def is_active(self, number: int) -> bool:
        """Whether an engine is to train the trial now: it has not ended and is not paused."""
        return number in self._running and not self._early_stopping.is_paused(number)

    def last_epoch_of(self, trial: Trial) -> int:
        """After which a trial that was paused goes on; 0 for others. Its reports up to then are in
        the journal.
        """
        return self._early_stopping.epoch_before(trial.number)

    @property
    def trials(self) -> list[Trial]:
        """All so far, by number, read back from the journal."""
        trials = {event.trial.number: event.trial for event in self._journal.history()}
        return [trials[number] for number in sorted(trials)]

    @property
    def best(self) -> list[Trial]:
        """The candidates that would go to the final stage now, best first."""
        return self._search_stage.best

    @property
    def trials_spent(self) -> int:
        """Ended candidates that cost budget."""
        return self._search_stage.spent

    @property
    def budget_seconds(self) -> float:
        """Wall seconds of the search stage, for the engine to watch; infinite: no limit."""
        return self._search_stage.budget_seconds

    def set_budget(self, trials: int | None = None, seconds: float | None = None) -> None:
        """Another budget from now on; None leaves it as it is.

        Running trials are finished. Once a trial of the baseline or a final one has started, the
        search stage is over for good.
        """
        self._search_stage.set_budget(trials, seconds)

    def prepare(self) -> None:
        """Work out the suggestions, where needed; else the first `next_trial` takes that time."""
        if self.phase == "searching":
            self._search_stage.prepare()

    def next_trial(self) -> Trial | None:
        """The next trial to run; None where there is nothing to start until a running one ends.

        Raises:
            Exception: whatever the strategy raises; the search cannot go on then.
        """
        self._carry_out()
        while self._resumed:
            trial = self._running.get(self._resumed.popleft())
            if trial is not None and self.is_active(trial.number) and self._is_to_run(trial):
                return trial
        while self.phase == "searching":
            if (trial := self._settle()) is not None:  # again, as the last ask may have closed it
                return trial
            if self._search_stage.is_closed:
                break
            asked = self._search_stage.next_trial(self._next_number, self.running)
            if asked is None:
                if self._trains:
                    return None
                self._search_stage.stop(is_asked_out=True)
            elif self._is_to_run(self._start(asked)):
                return asked
        while self.phase == "baseline" and self._wants_baseline:
            drawn = self._baseline.next_trial(self._next_number, self._search_stage.archive)
            if drawn is not None and self._is_to_run(self._start(drawn)):
                return drawn
        if self.phase == "final" and self._wants_final:
            final = self._final_stage.next_trial(self._next_number, self.best)
            return self._start(final)
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
            self._scoring.refuse_test_metrics(trial, metrics)
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
        self._scoring.refuse_test_metrics(trial, metrics)
        if failure := self._scoring.failure(trial, metrics):
            return self.fail(number, failure, seconds, worker)
        ended = replace(
            trial,
            state=TrialState.COMPLETED,
            metrics={**self._feasibility.scores(trial), **finite(metrics)},
            worker=worker,
            derived=derived_from(metrics),
        )
        self._end(ended, seconds)

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
            self._scoring.refuse_test_metrics(trial, metrics or {})
            known = {**self._feasibility.scores(trial), **finite(metrics)} if metrics else {}
            state = TrialState.FAILED
            ended = replace(trial, state=state, metrics=known, failure=failure, worker=worker)
            self._end(ended, seconds)

    def prune(
        self,
        number: int,
        failure: Failure,
        seconds: float = 0.0,
        worker: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """A running trial was stopped on purpose. `metrics`: of its last epoch."""
        if trial := self._get(number):
            reached = {} if metrics is None else {**self._feasibility.scores(trial), **metrics}
            state = TrialState.PRUNED
            ended = replace(trial, state=state, metrics=reached, failure=failure, worker=worker)
            self._end(ended, seconds)

    def stop_searching(self, reason: str) -> tuple[int, ...]:
        """End the search stage: prune the running candidates, go on with the final stage.

        Returns the numbers that were pruned, for the engine to stop; none after the search stage.
        """
        if self.phase != "searching":
            return ()
        self._search_stage.stop()
        return self._prune_all(Failure(FailureKind.BUDGET, reason))

    def cancel(self, reason: str = "the search was cancelled") -> tuple[int, ...]:
        """End the search: prune whatever runs. Returns the numbers that were pruned."""
        if self.finished:
            return ()
        self._is_cancelled = True
        return self._prune_all(Failure(FailureKind.CANCELLED, reason))

    def _carry_out(self, seconds: float = 0.0, worker: str | None = None) -> None:
        """What the fidelity rule decided last; after a crash, what it had decided before."""
        for number, verdict in self._early_stopping.due:
            self._obey(number, verdict, seconds, worker)

    def _settle(self) -> Trial | None:
        """Stop the paused trials that are out; the next one that goes on."""
        rule, stage = self._early_stopping, self._search_stage
        while (settled := rule.settle(is_closing=stage.is_closed)) is not None:
            number, verdict = settled
            self._obey(number, verdict)
            if verdict.action is Action.CONTINUE:
                return self._running[number]
        return None

    def _obey(
        self, number: int, verdict: Verdict, seconds: float = 0.0, worker: str | None = None
    ) -> None:
        if verdict.action is not Action.STOP:
            return self._record(self._early_stopping.event(number, verdict, seconds))
        failure = Failure(FailureKind.FIDELITY, verdict.reason)
        self.prune(number, failure, seconds, worker, self._early_stopping.metrics(number))

    def _start(self, trial: Trial) -> Trial:
        self._record(TrialStarted(trial, self._search_stage.told, tuple(self._running)))
        return trial

    def _is_to_run(self, trial: Trial) -> bool:
        """Whether a started trial has to be trained; else it is answered here, now or later."""
        if trial.kind is TrialKind.FINAL:
            return True
        if trial.source is not None:
            if trial.source in self._running:
                self._waiting.setdefault(trial.source, []).append(trial.number)
            else:
                self._answer(trial)
            return False
        if self._baseline.is_preset(trial):  # known networks are compared with, whatever they cost
            return True
        failure, metrics = self._feasibility.refusal(trial)
        if failure is None:
            return True
        self._end(replace(trial, state=TrialState.FAILED, metrics=metrics, failure=failure))
        return False

    def _answer(self, trial: Trial) -> None:
        """End a repeat with the result of its source."""
        assert trial.source is not None  # noqa: S101 - for the type checker
        metrics, failure = self._search_stage.archive.result(trial.source)
        self._end(replace(trial, state=TrialState.CACHED, metrics=metrics, failure=failure))

    def _end(self, ended: Trial, seconds: float = 0.0) -> None:
        """`seconds`: of training since the trial began or went on."""
        number = ended.number
        seconds += self._early_stopping.seconds_before(number)
        is_free = ended.kind is TrialKind.FINAL or self._baseline.is_preset(ended)
        self._feasibility.forget(number)
        self._record(TrialEnded(self._scoring.scored(replace(ended, seconds=seconds), is_free)))
        for repeat in self._waiting.pop(number, ()):
            self._answer(self._running[repeat])

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        """The one place where the search changes. The strategy never hears of final trials, nor of
        those of the baseline, and nor does the fidelity rule.
        """
        self._early_stopping.apply(event)
        if not isinstance(event, TrialStarted | TrialEnded):
            return
        trial = event.trial
        self._next_number = max(self._next_number, trial.number + 1)
        if isinstance(event, TrialStarted):
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)  # it never ran if an earlier search trained it
        match trial.kind:
            case TrialKind.FINAL:
                self._final_stage.apply(event)
            case TrialKind.BASELINE:
                self._baseline.apply(event)
            case _:
                self._search_stage.apply(event)

    @property
    def _trains(self) -> bool:
        """Whether anything is being trained; repeats wait for others, which may be paused."""
        running = self._running.items()
        return any(self.is_active(number) for number, trial in running if not trial.is_repeat)

    @property
    def _wants_baseline(self) -> bool:
        """Whether a further trial of the baseline is to start, of a search that found something."""
        stage = self._search_stage
        return stage.has_result and self._baseline.wants(stage.spent)

    @property
    def _wants_final(self) -> bool:
        """Whether a further final trial is to start; known once the search stage is over."""
        return self._final_stage.wants(self._search_stage.best)

    def _prune_all(self, failure: Failure) -> tuple[int, ...]:
        numbers = [n for n, trial in self._running.items() if not trial.is_repeat]
        for number in numbers:  # the repeats that wait for one end with it
            self.prune(number, failure)
        for number in tuple(self._running):  # repeats left over from a crash
            self._answer(self._running[number])
        return tuple(numbers)

    def _get(self, number: int) -> Trial | None:
        """A running trial; None after its end."""
        if not 0 <= number < self._next_number:
            raise ValueError(f"no trial {number}, the last is {self._next_number - 1}")
        return self._running.get(number)
