"""What an evaluator is: how good a proposal is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from models.architecture import Architecture
from search.trial import Failure, FailureKind, Trial

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What an evaluator says of a trial after an epoch.

    derived: of a supernet, the architecture that stands out by then.
    """

    metrics: Metrics
    derived: Architecture | None = None

    def to_json(self) -> dict[str, Any]:
        derived = None if self.derived is None else self.derived.to_json()
        return {"metrics": dict(self.metrics), "derived": derived}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        derived = document["derived"]
        return cls(
            document["metrics"], None if derived is None else Architecture.from_json(derived)
        )


NOTHING = Measurement({})


class Evaluator(Protocol):
    """Runs trials one after another in one worker process; what it loads stays warm."""

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        """Train `trial` and measure it after each epoch; the last measurement is its result.

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


class PoisonedError(EvaluationError):
    """A trial after which its process gets nothing done on its card any more: CUDA refuses all work
    after some errors. Whoever runs the process ends it, and gives later trials another one.
    """
