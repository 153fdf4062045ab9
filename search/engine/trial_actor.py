"""The worker's side of the Ray Tune engine: an actor that evaluates one trial after another."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune

from models.architecture import Architecture
from search.evaluation import Derivation, EvaluationError, Evaluator, Metrics, derived_from
from search.trial import Candidate, Failure, FailureKind, Trial

TRIAL = "trial"
"""The one key of a trial's config: the trial as JSON text, which Tune passes on untouched. Beside
the trial it holds the last epoch that needs no report, where the trial goes on after a pause.
"""

REPORT = "report"
"""The one key of a result beside Tune's own. JSON text too, because Tune keeps running averages of
every number that it sees, for every trial, for as long as it runs.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What an actor says after one step.

    epoch: of these metrics; None where they were reported before, or there are none.
    metrics: of the epoch; in the last report, those of the trial; with a failure, what was found
        out before it.
    seconds: since the actor began with the trial.
    failure: why the trial has no result.
    broken: why this actor cannot evaluate any trial.
    """

    epoch: int | None
    metrics: Metrics
    seconds: float
    worker: str
    failure: Failure | None = None
    broken: str | None = None

    def to_text(self) -> str:
        failure, derived = self.failure and self.failure.to_json(), derived_from(self.metrics)
        return json.dumps(
            [
                self.epoch,
                dict(self.metrics),
                derived and derived.to_json(),
                self.seconds,
                self.worker,
                failure,
                self.broken,
            ]
        )

    @classmethod
    def from_text(cls, text: str) -> Report:
        epoch, metrics, derived, seconds, worker, failure, broken = json.loads(text)
        if derived:
            metrics = Derivation(metrics, Architecture.from_json(derived))
        failure = failure and Failure.from_json(failure)
        return cls(epoch, metrics, seconds, worker, failure, broken)


class TrialActor(tune.Trainable):
    """One step is one epoch. The evaluator is built once and serves every trial of the actor."""

    _metrics: Metrics
    _last_epoch: int

    def setup(  # type: ignore[override]  # the second argument is from `tune.with_parameters`
        self, config: dict[str, Any], make_evaluator: Callable[[], Evaluator]
    ) -> None:
        self._make_evaluator = make_evaluator
        self._evaluator: Evaluator | None = None
        self._worker = f"{platform.node()}:{os.getpid()}"
        self._epochs: Iterator[Metrics] | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        try:
            metrics = self._next()
        except BrokenEvaluatorError as error:
            return self._result(done=True, broken=str(error))
        except EvaluationError as error:
            self._metrics = error.metrics
            return self._result(done=True, failure=error.failure)
        except Exception as error:  # whatever a trial raises is its own failure
            failure, self._metrics = (
                Failure(FailureKind.ERROR, f"{type(error).__name__}: {error}"),
                {},
            )
            return self._result(done=True, failure=failure)
        if metrics is None:
            return self._result(done=True)
        self._metrics = metrics
        epoch = int(metrics.get("epoch", self._last_epoch + 1))
        is_new = epoch > self._last_epoch  # the epoch of restored weights is told twice
        self._last_epoch = max(epoch, self._last_epoch)
        return self._result(done=self._is_over(), epoch=epoch if is_new else None)

    def cleanup(self) -> None:
        self._close()

    def get_auto_filled_metrics(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Nothing of what Tune adds to a result: most of it would be the config, every epoch."""
        return {}

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._trial, self._last_epoch = trial_from_text(config[TRIAL])
        self._ahead: Metrics | None = None
        self._metrics = {}
        self._started = time.monotonic()

    def _close(self) -> None:
        """Tell an evaluator that is in the middle of a trial to let go of it."""
        if isinstance(self._epochs, Generator):
            self._epochs.close()
        self._epochs = None

    def _next(self) -> Metrics | None:
        """The metrics of the next epoch; None after the last."""
        if self._epochs is None:
            if self._evaluator is None:
                try:
                    self._evaluator = self._make_evaluator()
                except Exception as error:
                    raise BrokenEvaluatorError(f"{type(error).__name__}: {error}") from error
            self._epochs = iter(self._evaluator.evaluate(self._trial))
        if self._ahead is not None:
            metrics, self._ahead = self._ahead, None
            return metrics
        return next(self._epochs, None)

    def _is_over(self) -> bool:
        """Whether the epoch just evaluated was the last. Asks the evaluator after the last epoch
        of the recipe, so that most trials end without one more step.
        """
        proposal = self._trial.proposal
        if not isinstance(proposal, Candidate) or self._last_epoch < proposal.recipe.epochs:
            return False
        assert self._epochs is not None  # noqa: S101 - for the type checker
        self._ahead = next(self._epochs, None)
        return self._ahead is None

    def _result(
        self,
        *,
        done: bool,
        epoch: int | None = None,
        failure: Failure | None = None,
        broken: str | None = None,
    ) -> dict[str, Any]:
        seconds = time.monotonic() - self._started
        report = Report(epoch, self._metrics, seconds, self._worker, failure, broken)
        return {REPORT: report.to_text(), "done": done}


class BrokenEvaluatorError(RuntimeError):
    """The evaluator cannot be built."""


def trial_to_text(trial: Trial, last_epoch: int = 0) -> str:
    """A trial that begins, or goes on after `last_epoch`."""
    return json.dumps({**trial.to_json(), "last_epoch": last_epoch})


def trial_from_text(text: str) -> tuple[Trial, int]:
    """The trial and `last_epoch`."""
    document = json.loads(text)
    return Trial.from_json(document), document["last_epoch"]
