"""What an evaluator is: how good a proposal is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from models.architecture import Architecture
from search.trial import Failure, FailureKind, Trial

Metrics = Mapping[str, float]


class Derivation(dict[str, float]):
    """The metrics of an epoch of a supernet, with the architecture that stands out after it."""

    def __init__(self, metrics: Metrics, architecture: Architecture) -> None:
        super().__init__(metrics)
        self.architecture = architecture


def derived_from(metrics: Metrics) -> Architecture | None:
    """What a supernet derived; None for other trials."""
    return metrics.architecture if isinstance(metrics, Derivation) else None


class Evaluator(Protocol):
    """Runs trials one after another in one worker process; what it loads stays warm."""

    def evaluate(self, trial: Trial) -> Iterator[Metrics]:
        """Train `trial` and yield its metrics after each epoch; the last ones are its result.

        An iterator, not a callback: whoever drives it (a Ray trainable's `step`, a loop) decides
        after each epoch whether to go on, and closing the iterator prunes the trial.

        Raises:
            search.evaluation.EvaluationError: with the kind of failure and a message for people.
        """


class EvaluationError(RuntimeError):
    """A trial that has no result; the search goes on. `metrics`: what was found out before."""

    def __init__(self, kind: FailureKind, message: str, metrics: Metrics | None = None) -> None:
        super().__init__(message)
        self.failure, self.metrics = Failure(kind, message), metrics or {}
