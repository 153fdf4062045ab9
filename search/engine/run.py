"""A search without its engine: what to run next, what a result means, when it is over.

A `SearchRun` is a fold over its journal. Every change is an event that is appended first and then
applied, by the same code that applies the history of a journal after a crash: a result counts
when it is in the journal, and the strategy is told nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from models.architecture import Architecture
from search.engine.early_stopping import EarlyStopping
from search.engine.feasibility import Cost, Feasibility, Screen
from search.engine.journal import EpochReported, Event, Journal, TrialEnded, TrialStarted
from search.engine.scoring import Scoring
from search.engine.stage import Given, Stage, Stages
from search.engine.stages.candidates import Candidates
from search.engine.suggestions import Suggestions, no_suggestions
from search.fidelity import Action, Verdict
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategy import Strategy
from search.trial import Failure, FailureKind, Trial, TrialState, finite

DONE = "done"
"""The phase after that of the last stage."""


class SearchRun:
    """One search, for an engine that runs what `next_trial` gives and reports what came of it.

    The trials of a journal that started and never ended are given out again, under their numbers.
    A trial that the fidelity rule pauses is given out again when the rule has it go on.
    A repeat of an ended trial becomes `cached` with its metrics, or its failure; a repeat of a
    running trial waits for that one and is then answered in the same way, while the strategy is
    asked on. Neither costs budget. Its stages follow each other (`search.engine.stage`), and what
    they may do with their trials stands there. Not safe for threads.
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
        networks_per_trial: int = 1,
    ) -> None:
        """`spec` is resolved (`search.request.resolve`); `strategy` has been told nothing. What
        `suggestions` gives is tried before the strategy is asked; what `screen` refuses is
        infeasible. `networks_per_trial`: of a dataset with folds each candidate has several.
        """
        self.spec = spec
        self._journal = journal
        self._stages = Stages(Given(spec, space, strategy, suggestions, networks_per_trial))
        self._left = tuple(self._stages)  # those that are not over for good
        self._candidates = self._stages[Candidates]
        self._early_stopping = EarlyStopping(spec)
        self._feasibility = Feasibility(cost, spec.cost_limits, screen)
        self._scoring = Scoring(spec)
        self._next_number = self._told = 0
        self._running: dict[int, Trial] = {}  # started and not ended
        self._waiting: dict[int, list[int]] = {}  # repeats by what answers them
        self._is_cancelled = False
        events = journal.full_history() if self._early_stopping.listens else journal.history()
        for event in events:
            self._apply(event)
        running = self._running
        self._resumed = deque(sorted(running, key=lambda n: (not running[n].is_repeat, n)))

    @property
    def phase(self) -> str:
        """`searching` among candidates, the `baseline` to compare with, `final` training of the
        best, or what else the stage says; then `done`.
        """
        return DONE if self._stage is None else self._stage.phase

    @property
    def finished(self) -> bool:
        return self._stage is None

    @property
    def failed_reason(self) -> str | None:
        """Why a finished search has no result; None where it has one or was cancelled."""
        if not self.finished or self._is_cancelled:
            return None
        return next(filter(None, (stage.reason for stage in self._stages)), None)

    @property
    def exhausted_reason(self) -> str | None:
        """Why a stage ended before its budget, where the space had nothing more to try."""
        over = (stage for stage in self._stages if stage is not self._stage)
        return next(filter(None, (stage.ending for stage in over)), None)

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
        return self._candidates.best

    @property
    def trials_spent(self) -> int:
        """Ended candidates that cost budget."""
        return self._candidates.spent

    @property
    def budget_seconds(self) -> float:
        """Wall seconds of the whole search, for the engine to watch; infinite: no limit."""
        return self._candidates.budget_seconds

    def set_budget(self, trials: int | None = None, seconds: float | None = None) -> None:
        """Another budget from now on; None leaves it as it is.

        Running trials are finished. Once a trial of the baseline or a final one has started, the
        search stage is over for good.
        """
        self._candidates.set_budget(trials, seconds)

    def prepare(self) -> None:
        """Work out what the stage needs first, else the next `next_trial` takes that time."""
        if self._stage is not None:
            self._stage.prepare()

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
        while (stage := self._stage) is not None:
            if (trial := self._settle(stage)) is not None:  # the last ask may have made room
                return trial
            if not stage.wants:
                if self._running:
                    return None
                continue
            asked = stage.next_trial(self._next_number, self.running)
            if asked is None:
                if self._trains:
                    return None
                stage.stop(is_asked_out=True)
            elif self._is_to_run(self._start(asked)):
                return asked
        return None

    def report(
        self,
        number: int,
        epoch: int,
        metrics: Mapping[str, float],
        seconds: float = 0.0,
        worker: str | None = None,
        derived: Architecture | None = None,
    ) -> None:
        """One epoch of a running trial; ignored after its end and while it is paused. Leaves out
        what is not finite. Afterwards the trial may have been pruned or paused: `is_active` says.

        A trial that runs again after a crash reports its epochs again. `seconds`: since the worker
        began, or went on, with the trial.
        """
        trial = self._get(number)
        if trial is not None and self.is_active(number):
            self._scoring.refuse_test_metrics(trial, metrics)
            self._record(EpochReported(number, epoch, finite(metrics), derived))
            self._carry_out(seconds, worker)

    def complete(
        self,
        number: int,
        metrics: Mapping[str, float],
        seconds: float,
        worker: str | None = None,
        derived: Architecture | None = None,
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
            derived=derived,
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
        if self._stage is not self._candidates:
            return ()
        self._candidates.stop()
        return self._prune_all(Failure(FailureKind.BUDGET, reason))

    def keep_time(self, seconds: float, lanes: int = 1) -> tuple[int, ...]:
        """Have the stages that follow fit into the seconds that are left, `lanes` trials at a time:
        no trial is started that would not end in time, and at the end of the stage's own time what
        runs is pruned. A search that has no result yet has all of the time to get one.

        Each later stage is left what it will take by the trials so far, half of the budget at most,
        but a trial.

        Returns the numbers that were pruned, for the engine to stop.
        """
        stage = self._stage
        if stage is None:
            return ()
        left = seconds - self._room_after(stage, lanes)
        if not stage.has_enough:
            if stage is self._candidates and seconds <= 0:
                return self.stop_searching(self._out_of_time)
            return ()
        if left < stage.trial_seconds or left <= 0:
            stage.stop()
        return self._prune_all(Failure(FailureKind.BUDGET, self._out_of_time)) if left < 0 else ()

    def _room_after(self, stage: Stage, lanes: int) -> float:
        """Seconds of the stages after it."""
        later, half = self._left[self._left.index(stage) + 1 :], self.budget_seconds / 2
        return sum(max(s.trial_seconds, min(s.seconds_left(lanes), half)) for s in later)

    @property
    def _out_of_time(self) -> str:
        return f"the time budget of {self.budget_seconds:g} s has ended"

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

    @property
    def _stage(self) -> Stage | None:
        """The stage that the search is in; None once it is over."""
        if self._is_cancelled:
            return None
        return next((stage for stage in self._left if self._running or stage.wants), None)

    def _settle(self, stage: Stage) -> Trial | None:
        """Stop the paused trials that are out; the next one that goes on."""
        rule = self._early_stopping
        while (settled := rule.settle(is_closing=not stage.wants)) is not None:
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
        self._record(TrialStarted(trial, self._told, tuple(self._running)))
        return trial

    def _is_to_run(self, trial: Trial) -> bool:
        """Whether a started trial has to be trained; else it is answered here, now or later."""
        if trial.is_repeat:
            if trial.source in self._running:
                self._waiting.setdefault(trial.source, []).append(trial.number)
            else:
                self._answer(trial)
            return False
        if not self._stages.of(trial).is_limited(trial):
            return True
        failure, metrics = self._feasibility.refusal(trial)
        if failure is None:
            return True
        self._end(replace(trial, state=TrialState.FAILED, metrics=metrics, failure=failure))
        return False

    def _answer(self, trial: Trial) -> None:
        """End a repeat with the result of its source."""
        assert trial.source is not None  # noqa: S101 - for the type checker
        metrics, failure = self._stages.archive.result(trial.source)
        self._end(replace(trial, state=TrialState.CACHED, metrics=metrics, failure=failure))

    def _end(self, ended: Trial, seconds: float = 0.0) -> None:
        """`seconds`: of training since the trial began or went on."""
        number = ended.number
        seconds += self._early_stopping.seconds_before(number)
        self._feasibility.forget(number)
        is_limited = self._stages.of(ended).is_limited(ended)
        scored = self._scoring.scored(replace(ended, seconds=seconds), is_limited=is_limited)
        self._record(TrialEnded(scored))
        for repeat in self._waiting.pop(number, ()):
            self._answer(self._running[repeat])

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        """The one place where the search changes."""
        self._early_stopping.apply(event)
        if not isinstance(event, TrialStarted | TrialEnded):
            return
        trial = event.trial
        self._next_number = max(self._next_number, trial.number + 1)
        if isinstance(event, TrialStarted):
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)  # it never ran if an earlier search trained it
            self._told += trial.is_told
        stage = self._stages.of(trial)
        if stage in self._left:
            self._left = self._left[self._left.index(stage) :]
        stage.apply(event)

    @property
    def _trains(self) -> bool:
        """Whether anything is being trained; repeats wait for others, which may be paused."""
        running = self._running.items()
        return any(self.is_active(number) for number, trial in running if not trial.is_repeat)

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
