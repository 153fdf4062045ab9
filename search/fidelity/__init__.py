"""Fidelity rules, one a file: which trials are stopped before their last epoch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from models.plugins import require
from models.registry import Registry
from models.settings import Settings
from search.objectives import Objective
from search.trial import Trial


class FidelitySettings(Settings):
    """What a request may say about a rule beside its name."""

    name: str = ""


class Action(StrEnum):
    """continue: train on, or go on after a pause. pause: leave the worker to others, and wait.
    stop: the trial is pruned.
    """

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason`: of a stop, for people."""

    action: Action
    reason: str = ""


CONTINUE, PAUSE = Verdict(Action.CONTINUE), Verdict(Action.PAUSE)


class FidelityRule(ABC):
    """A pure function of what it was told, in the order of the journal: a crashed search is
    continued by telling a fresh rule the same again. No I/O, no clock, no random numbers.

    It hears of candidates alone, each started once, each epoch reported once. Final trials are
    trained to their end.

    listens: whether it has to be told anything.
    rungs: the epochs after which a trial may be paused or stopped.
    pauses: whether it ever answers `PAUSE`.
    """

    Settings: ClassVar[type[FidelitySettings]]
    listens: ClassVar[bool] = True
    rungs: Sequence[int]
    pauses: bool = False

    @property
    def pause_epochs(self) -> Collection[int]:
        """After which a trial's state has to be kept."""
        return frozenset(self.rungs if self.pauses else ())

    @abstractmethod
    def __init__(self, settings: FidelitySettings, objective: Objective, max_epochs: int) -> None:
        """`max_epochs` is the longest trial's."""

    @abstractmethod
    def started(self, number: int) -> None:
        """A trial that trains from now on."""

    @abstractmethod
    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        """The objective after an epoch, bigger is better; minus infinity where it has none. After
        the last epoch of its recipe, a trial is done: the answer is `CONTINUE`.
        """

    @abstractmethod
    def ended(self, trial: Trial) -> None:
        """A trial that has completed, failed or been pruned."""

    def resumed(self, number: int) -> None:
        """A paused trial goes on."""
        raise NotImplementedError(f"{type(self).__name__} pauses no trial")

    def settle(self, *, is_closing: bool) -> tuple[int, Verdict] | None:
        """What to do about a paused trial now, to continue or to stop it; changes nothing before
        `resumed` or `ended` has been told. `is_closing`: no further trial will be started.

        With `is_closing`, while trials are paused and none is running, the answer is never None.
        """
        return None


def _check(entry: Any) -> None:
    if not (isinstance(entry, type) and issubclass(entry, FidelityRule)):
        raise TypeError(f"{entry!r} is no FidelityRule")
    require(entry, "Settings")
    if not (isinstance(entry.Settings, type) and issubclass(entry.Settings, FidelitySettings)):
        raise TypeError(f"{entry!r} has Settings that are no FidelitySettings")


fidelities: Registry[type[FidelityRule]] = Registry(
    "fidelity", __name__, plugins="nasmith.fidelity", check=_check
)


def shown(objective: Objective, value: float) -> str:
    """A value that a rule was told, as its metric was reported."""
    if value == -math.inf:
        return f"no usable {objective.metric}"
    return f"{objective.metric} {value if objective.goal == 'maximize' else -value:.4g}"


def geometric(first: int, factor: int, end: int) -> tuple[int, ...]:
    """first, first * factor, ... below `end`."""
    epochs = []
    while first < end:
        epochs.append(first)
        first *= factor
    return tuple(epochs)
