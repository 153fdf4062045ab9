"""The engine without Ray: one trial after another in this process, for tests and notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from search.engine.control import Control, Steering
from search.engine.run import SearchRun
from search.evaluation import NOTHING, EvaluationError, Evaluator, Measurement
from search.trial import FailureKind, Trial

WORKER = "serial"


def run_serial(
    run: SearchRun,
    evaluator: Evaluator,
    control: Control | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run a search until it is finished, paused or cancelled. `clock`: in seconds.

    Raises:
        Exception: whatever the strategy or the journal raises. What a trial raises is its failure.
    """
    steering = Steering(run, control, clock)
    while not run.finished:
        orders = steering.check()
        if orders.action == "cancel":
            run.cancel()
        if orders.action != "run":
            return
        trial = run.next_trial()
        if trial is not None:
            _run_trial(run, trial, evaluator, steering, clock)


def _run_trial(
    run: SearchRun,
    trial: Trial,
    evaluator: Evaluator,
    steering: Steering,
    clock: Callable[[], float],
) -> None:
    started = clock()
    epochs = evaluator.evaluate(trial)
    last = run.last_epoch_of(trial)
    measured = NOTHING
    while True:
        result = _next_epoch(epochs)
        seconds = clock() - started
        if isinstance(result, EvaluationError):
            return run.fail(trial.number, result.failure, seconds, WORKER, result.metrics)
        if result is None:
            return run.complete(trial.number, measured.metrics, seconds, WORKER, measured.derived)
        measured = result
        epoch = int(measured.metrics.get("epoch", last + 1))
        if epoch > last:  # the epoch of restored weights is told twice
            last = epoch
            run.report(trial.number, epoch, measured.metrics, seconds, WORKER, measured.derived)
        if steering.check().action == "cancel":
            run.cancel()
        if not run.is_active(trial.number):
            return None


def _next_epoch(epochs: Iterator[Measurement]) -> Measurement | EvaluationError | None:
    """The measurement after the next epoch, why there is none, or None after the last."""
    try:
        return next(epochs, None)
    except EvaluationError as error:
        return error
    except Exception as error:  # whatever it is, it is this trial's failure alone
        return EvaluationError(FailureKind.ERROR, f"{type(error).__name__}: {error}")
