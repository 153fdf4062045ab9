"""What an engine writes down, and replays after a crash.

The order of events is the order in which the strategy was asked and told: replaying them into a
fresh strategy gives the strategy that crashed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from models.architecture import Architecture
from search.trial import Trial


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """The strategy was asked and `trial` is running.

    `told`: how many ended trials the strategy had been told; `running`: the numbers that it was
    given as running. With them, `replay` proves that the same ask gives the same proposal.
    """

    trial: Trial
    told: int
    running: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochReported:
    number: int
    epoch: int
    metrics: Mapping[str, float]
    derived: Architecture | None = None

    def to_json(self) -> dict[str, Any]:
        """A metric that is not finite is null; `derived` only where it is set."""
        metrics = {
            name: value if math.isfinite(value) else None for name, value in self.metrics.items()
        }
        document = {"number": self.number, "epoch": self.epoch, "metrics": metrics}
        return document if self.derived is None else document | {"derived": self.derived.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        derived = document.get("derived")
        return cls(
            document["number"],
            document["epoch"],
            document["metrics"],
            None if derived is None else Architecture.from_json(derived),
        )


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """`trial` is completed, pruned, failed or cached. Committed before the strategy is told."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class TrialPaused:
    """The fidelity rule has trial `number` wait after `epoch`. `seconds`: of training so far."""

    number: int
    epoch: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "epoch": self.epoch, "seconds": self.seconds}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(document["number"], document["epoch"], document["seconds"])


@dataclass(frozen=True, slots=True)
class TrialResumed:
    """A paused trial goes on."""

    number: int

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(document["number"])


Event = TrialStarted | EpochReported | TrialPaused | TrialResumed | TrialEnded


class Journal(Protocol):
    """Where an engine writes what happened. `append` returns once the event is safe."""

    def append(self, event: Event) -> None:
        """
        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
        """

    def history(self) -> Sequence[TrialStarted | TrialEnded]:
        """Starts and ends in the order in which they were appended; the rest is left out."""

    def full_history(self) -> Sequence[Event]:
        """Everything in the order in which it was appended."""


class StaleOwnerError(RuntimeError):
    """The search has another owner: stop at once, write nothing."""


class MemoryJournal:
    """A journal in a list, for tests and notebooks."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        self.events.append(event)

    def history(self) -> Sequence[TrialStarted | TrialEnded]:
        return [event for event in self.events if isinstance(event, TrialStarted | TrialEnded)]

    def full_history(self) -> Sequence[Event]:
        return tuple(self.events)
