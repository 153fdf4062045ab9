"""What the Ray Tune engine knows of the trials that are under way, and what it does about them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search.engine.control import Action, Orders, Steering
from search.engine.patience import SILENT_SECONDS, STARTING_SECONDS, Patience
from search.engine.run import SearchRun
from search.engine.trial_actor import REPORT, TRIAL, Report, trial_to_text
from search.spec import Resources
from search.trial import Failure, FailureKind, Trial

ATTEMPTS = 3
"""How often a trial may take its worker down before it has failed."""

RETRY_SECONDS = 1.0
"""Before the second attempt; twice as long before the third."""

CONTROL_SECONDS = 0.5
CAPACITY_SECONDS = 5.0

GRACE_SECONDS = 2.0
"""A trial that the search has ended or paused may come to the end of its epoch, so that its actor,
warm as it is, can serve another trial; then the actor is killed.
"""

MESSAGE_LENGTH = 500

Tell = Callable[[str | None], object]
"""Says what a search waits for; None: for nothing. Called about twice a second."""

log = logging.getLogger(__name__)


class EngineError(RuntimeError):
    """The search cannot go on, whatever the trial."""


@dataclass(slots=True)
class Attempt:
    """A trial in Tune's hands.

    heard: when it was given to Tune, its actor was made, or began, or the last epoch was reported.
    kill: ends the actor; None before it is made, while there is no free worker.
    has_begun: the actor has come to life.
    orphaned: when the search was seen to have ended or paused the trial.
    cause: why its actor was killed by us.
    worker: where its last report came from.
    """

    trial: Trial
    count: int
    heard: float
    kill: Callable[[], object] | None = None
    has_begun: bool = False
    orphaned: float | None = None
    cause: str | None = None
    worker: str | None = None


class Crew:
    """The trials of a search that Tune runs now.

    Nothing here raises: what goes wrong is kept in `error`, everything is stopped, and the engine
    raises it when Tune has returned. Tune would swallow it, or blame a trial.
    """

    def __init__(
        self,
        run: SearchRun,
        steering: Steering,
        resources: Resources,
        capacity: Callable[[], int],
        tell: Tell,
    ) -> None:
        self._run, self._steering = run, steering
        self._capacity_now, self._tell = capacity, tell
        self._patience = Patience(resources.trial_timeout_seconds)
        self._parallel = resources.parallel_trials
        self._attempts: dict[str, Attempt] = {}
        self._retries: list[tuple[float, Attempt]] = []
        self._control_at = self._capacity_at = 0.0
        self._capacity = 1
        self.action: Action = "run"
        self.error: BaseException | None = None

    @property
    def is_to_stop(self) -> bool:
        """Whether Tune is to drop everything now."""
        return self.error is not None or self.action == "cancel"

    @property
    def is_done(self) -> bool:
        """Whether Tune gets no further trial."""
        return self.is_to_stop or self.action == "pause" or self._run.finished

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        """The config of the next trial; None where none is to start now."""
        self.supervise()
        if self.is_done or len(self._attempts) >= min(self._parallel, self._capacity):
            return None
        try:
            attempt = self._next()
        except Exception as error:
            self._crash(error)
            return None
        if attempt is None:
            return None
        self._attempts[trial_id] = attempt
        last_epoch = self._run.last_epoch_of(attempt.trial)
        return {TRIAL: trial_to_text(attempt.trial, last_epoch)}

    def starting(self, trial_id: str, kill: Callable[[], object]) -> None:
        """An actor is being made for a trial, or taken over; again it changes nothing."""
        attempt = self._attempts[trial_id]
        if attempt.kill is None:
            attempt.kill, attempt.heard = kill, time.monotonic()

    def started(self, trial_id: str, kill: Callable[[], object]) -> None:
        attempt = self._attempts[trial_id]
        attempt.kill, attempt.has_begun, attempt.heard = kill, True, time.monotonic()

    def reported(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the actor is to let go of the trial: the search has ended or paused it."""
        attempt, now = self._attempts[trial_id], time.monotonic()
        report = Report.from_text(result[REPORT])
        if report.epoch is not None:
            self._patience.took(attempt.trial.number, now - attempt.heard)
        attempt.heard, attempt.worker = now, report.worker
        try:
            self._journal(attempt, report, is_last=result["done"])
        except Exception as error:
            self._crash(error)
        self._let_go(attempt)
        if report.is_poisoned:
            attempt.cause = "its card refuses all work after the trial's error"
            if attempt.kill is not None:
                attempt.kill()
            return False  # Tune hears of the actor's end, and keeps it for no other trial
        return attempt.orphaned is not None

    def ended(self, trial_id: str) -> None:
        """Tune is done with a trial, and its actor is free."""
        attempt = self._attempts.pop(trial_id, None)
        if attempt is not None:
            self._patience.forget(attempt.trial.number)

    def died(self, trial_id: str, error: str) -> None:
        """The actor of a trial is gone. Another one tries again, a little later."""
        attempt = self._attempts.pop(trial_id)
        try:
            self._retry(attempt, _failure(attempt.cause or error))
        except Exception as error:
            self._crash(error)

    def supervise(self) -> None:
        """Called in every turn of Tune's loop; does something about twice a second."""
        now = time.monotonic()
        if now < self._control_at or self.is_to_stop:
            return
        self._control_at = now + CONTROL_SECONDS
        try:
            self._obey(self._steering.check(min(self._parallel, self._capacity)))
            if now >= self._capacity_at:
                self._capacity_at = now + CAPACITY_SECONDS
                self._capacity = max(1, self._capacity_now())
            self._look_after(now)
            self._tell(self._obstacle(now))
        except Exception as error:
            self._crash(error)

    def kill_all(self) -> None:
        for attempt in self._attempts.values():
            if attempt.kill is not None:
                attempt.kill()

    def close(self) -> None:
        """After Tune has returned."""
        self._attempts.clear()

    def _obey(self, orders: Orders) -> None:
        self.action = orders.action
        if orders.parallel_trials is not None:
            self._parallel = orders.parallel_trials
        if orders.action == "cancel":
            self._run.cancel()
            self.kill_all()

    def _look_after(self, now: float) -> None:
        for attempt in self._attempts.values():
            self._let_go(attempt)
            if attempt.kill is None or attempt.cause is not None:
                continue
            if not attempt.has_begun:
                if now - attempt.heard > STARTING_SECONDS:
                    attempt.cause = f"it did not begin within {STARTING_SECONDS:g} s"
                    attempt.kill()
            elif attempt.orphaned is not None and now - attempt.orphaned > GRACE_SECONDS:
                attempt.cause = "the search has ended or paused the trial"
                attempt.kill()
            elif now - attempt.heard > (limit := self._patience.limit(attempt.trial.number)):
                attempt.cause = f"no epoch ended within {limit:g} s"
                attempt.kill()

    def _obstacle(self, now: float) -> str | None:
        """What the search waits for, in words that stay as long as it does."""
        silent = [a for a in self._attempts.values() if now - a.heard >= SILENT_SECONDS]
        if not silent:
            return None
        attempt = min(silent, key=lambda attempt: attempt.heard)
        number = attempt.trial.number
        trials = f"trial {number}" + (f" and {len(silent) - 1} more" if len(silent) > 1 else "")
        if attempt.kill is None:
            return f"waiting for a free worker for {trials}"
        worker = f" on {attempt.worker}" if attempt.worker else ""
        limit = self._patience.limit(number)
        if not attempt.has_begun:
            worker, limit = " of the worker that starts for it", STARTING_SECONDS
        return (
            f"waiting for {trials}: no sign of life{worker} for {SILENT_SECONDS:g} s; after "
            f"{limit:g} s without one it is tried again"
        )

    def _let_go(self, attempt: Attempt) -> None:
        if attempt.orphaned is None and not self._run.is_active(attempt.trial.number):
            attempt.orphaned = time.monotonic()

    def _next(self) -> Attempt | None:
        now = time.monotonic()
        for index, (due, attempt) in enumerate(self._retries):
            if due <= now:
                del self._retries[index]
                return Attempt(attempt.trial, attempt.count + 1, now)
        trial = self._run.next_trial()
        if trial is not None:
            return Attempt(trial, 1, now)
        if not self._attempts and not self._retries and not self._run.finished:
            raise EngineError("the search is not finished, and there is nothing left to run")
        return None

    def _journal(self, attempt: Attempt, report: Report, *, is_last: bool) -> None:
        number, seconds, worker = attempt.trial.number, report.seconds, report.worker
        measured = report.measured
        if report.epoch is not None:
            self._run.report(
                number, report.epoch, measured.metrics, seconds, worker, measured.derived
            )
        if report.broken is not None:
            raise EngineError(f"the evaluator cannot be built: {report.broken}")
        if report.failure is not None:
            self._run.fail(number, report.failure, seconds, worker, measured.metrics)
        elif is_last and attempt.orphaned is None:
            self._run.complete(number, measured.metrics, seconds, worker, measured.derived)

    def _retry(self, attempt: Attempt, failure: Failure) -> None:
        self._let_go(attempt)
        if self.is_to_stop or attempt.orphaned is not None:
            return
        log.warning(
            "trial %d lost its worker (%d of %d): %s",
            attempt.trial.number,
            attempt.count,
            ATTEMPTS,
            failure.message,
        )
        if attempt.count < ATTEMPTS:
            wait = RETRY_SECONDS * 2 ** (attempt.count - 1)
            self._retries.append((time.monotonic() + wait, attempt))
        else:
            message = f"given up after {ATTEMPTS} attempts: {failure.message}"
            failure = Failure(failure.kind, message)
            self._run.fail(attempt.trial.number, failure, time.monotonic() - attempt.heard)

    def _crash(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            self.kill_all()


def _failure(error: str) -> Failure:
    """Why a worker died, in one line for people, from Ray's many."""
    text = re.sub(r"\x1b\[\d*m", "", " ".join(error.split()))
    kind = FailureKind.WORKER_DIED
    if "OutOfMemoryError" in text or "running low on memory" in text:
        kind = FailureKind.OUT_OF_MEMORY
    _, _, detail = text.partition("Worker exit detail: ")
    return Failure(kind, f"its worker died: {_shortened(detail or text)}")


def _shortened(text: str) -> str:
    """The start and the end, where causes are."""
    half = MESSAGE_LENGTH // 2
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:half]} ... {text[-half:]}"
