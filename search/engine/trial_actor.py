"""The worker's side of the Ray Tune engine: an actor that evaluates one trial after another."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
from ray import tune

from models.accelerator import place_of
from models.processes.folders import WorkFolder
from models.processes.memory import growth_bytes, limit_growth
from search.evaluation import NOTHING, EvaluationError, Evaluator, Measurement, PoisonedError
from search.trial import Candidate, Failure, FailureKind, Trial

TRIAL = "trial"
"""The one key of a trial's config: the trial as JSON text, which Tune passes on untouched. Beside
the trial it holds the last epoch that needs no report, where the trial goes on after a pause.
"""

REPORT = "report"
"""The one key of a result beside Tune's own. JSON text too, because Tune keeps running averages of
every number that it sees, for every trial, for as long as it runs.
"""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What an actor says after one step.

    epoch: of the measurement; None where it was reported before, or there is none.
    measured: after the epoch; in the last report, the result of the trial; with a failure, what was
        found out before it.
    seconds: since the actor began with the trial.
    failure: why the trial has no result.
    broken: why this actor cannot evaluate any trial.
    is_poisoned: the failure has left this actor unable to evaluate another one.
    """

    epoch: int | None
    measured: Measurement
    seconds: float
    worker: str
    failure: Failure | None = None
    broken: str | None = None
    is_poisoned: bool = False

    def to_text(self) -> str:
        return json.dumps(
            {
                "epoch": self.epoch,
                **self.measured.to_json(),
                "seconds": self.seconds,
                "worker": self.worker,
                "failure": None if self.failure is None else self.failure.to_json(),
                "broken": self.broken,
                "is_poisoned": self.is_poisoned,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Report:
        document = json.loads(text)
        failure = document["failure"]
        return cls(
            document["epoch"],
            Measurement.from_json(document),
            document["seconds"],
            document["worker"],
            None if failure is None else Failure.from_json(failure),
            document["broken"],
            document["is_poisoned"],
        )


class TrialActor(tune.Trainable):
    """One step is one epoch. The evaluator is built once and serves every trial of the actor."""

    _measured: Measurement
    _last_epoch: int

    def setup(  # type: ignore[override]  # the second argument is from `tune.with_parameters`
        self, config: dict[str, Any], make_evaluator: Callable[[], Evaluator]
    ) -> None:
        self._make_evaluator = make_evaluator
        self._evaluator: Evaluator | None = None
        self._worker = f"{platform.node()}:{os.getpid()}"
        self._epochs: Iterator[Measurement] | None = None
        self._folder: WorkFolder | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        growth = self._keep_room()
        try:
            measured = self._next()
        except BrokenEvaluatorError as error:
            return self._result(done=True, broken=str(error))
        except EvaluationError as error:
            self._measured = Measurement(error.metrics)
            is_poisoned = isinstance(error, PoisonedError)
            failure = _with_limit(error.failure, growth)
            # Not done: Tune would keep the actor for the next trial. The engine ends it.
            return self._result(done=not is_poisoned, failure=failure, is_poisoned=is_poisoned)
        except Exception as error:  # whatever a trial raises is its own failure
            self._measured = NOTHING
            is_out = isinstance(error, MemoryError)
            kind = FailureKind.OUT_OF_MEMORY if is_out else FailureKind.ERROR
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            failure = _with_limit(Failure(kind, said), growth)
            return self._result(done=True, failure=failure)
        if measured is None:
            return self._result(done=True)
        self._measured = measured
        epoch = int(measured.metrics.get("epoch", self._last_epoch + 1))
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
        self._ahead: Measurement | None = None
        self._measured = NOTHING
        try:
            self._folder = WorkFolder("trial")
        except OSError as error:  # it can train without one
            log.warning("temporary files of trial %d will stay: %s", self._trial.number, error)
        self._started = time.monotonic()

    def _close(self) -> None:
        """Tell an evaluator that is in the middle of a trial to let go of it; what the trial has
        left among temporary files goes.
        """
        if isinstance(self._epochs, Generator):
            self._epochs.close()
        self._epochs = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _next(self) -> Measurement | None:
        """The measurement after the next epoch; None after the last."""
        if self._epochs is None:
            if self._evaluator is None:
                try:
                    _take_card()
                    self._evaluator = self._make_evaluator()
                except Exception as error:
                    raise BrokenEvaluatorError(f"{type(error).__name__}: {error}") from error
            self._epochs = iter(self._evaluator.evaluate(self._trial))
        if self._ahead is not None:
            measured, self._ahead = self._ahead, None
            return measured
        return next(self._epochs, None)

    def _keep_room(self) -> int | None:
        """Let the next epoch grow by what is left on this machine now, in bytes, so that a trial
        that wants more fails and its neighbours go on. None on a GPU: CUDA maps more than it has.
        """
        if _cards():
            return None
        growth = growth_bytes()
        limit_growth(growth)
        return growth

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
        is_poisoned: bool = False,
    ) -> dict[str, Any]:
        seconds = time.monotonic() - self._started
        if done:
            self._close()
        report = Report(epoch, self._measured, seconds, self._worker, failure, broken, is_poisoned)
        return {REPORT: report.to_text(), "done": done}


def _cards() -> list[str]:
    """The cards that Ray gave this actor."""
    return [str(name) for name in ray.get_runtime_context().get_accelerator_ids().get("GPU", [])]


def _with_limit(failure: Failure, growth: int | None) -> Failure:
    """Of a trial that wanted more memory: with what it might have had."""
    if failure.kind is not FailureKind.OUT_OF_MEMORY or growth is None:
        return failure
    left = f"beside others there were {growth / 2**20:,.0f} MiB for it"
    return replace(failure, message=f"{failure.message} ({left})")


def _take_card() -> None:
    """Compute on the card that Ray gave this actor, whatever else this process sees."""
    place = place_of(_cards(), os.environ)
    if place is not None:
        torch.cuda.set_device(place)


class BrokenEvaluatorError(RuntimeError):
    """The evaluator cannot be built."""


def trial_to_text(trial: Trial, last_epoch: int = 0) -> str:
    """A trial that begins, or goes on after `last_epoch`."""
    return json.dumps({**trial.to_json(), "last_epoch": last_epoch})


def trial_from_text(text: str) -> tuple[Trial, int]:
    """The trial and `last_epoch`."""
    document = json.loads(text)
    return Trial.from_json(document), document["last_epoch"]
