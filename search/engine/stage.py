"""What a stage is: one part of a search, with trials of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, ClassVar, TypeVar

from models.registry import Registry
from search.engine.archive import Archive
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.suggestions import Suggestions, no_suggestions
from search.trial import Trial
from search.trial_kind import TrialKind

if TYPE_CHECKING:  # the API reads the kinds of trials, and starts without torch
    from search.space import SearchSpace
    from search.spec import SearchSpec
    from search.strategy import Strategy

S = TypeVar("S", bound="Stage")


@dataclass(frozen=True, slots=True)
class Given:
    """What the stages of a search are made of; `strategy` has been told nothing.

    networks_per_trial: that a candidate trains; a final trains one.
    """

    spec: SearchSpec
    space: SearchSpace
    strategy: Strategy
    suggestions: Suggestions = no_suggestions
    networks_per_trial: int = 1


class Stage(ABC):
    """A fold over the starts and ends of its own trials: the same events give the same stage, so
    that a search goes on after a crash.

    It begins once those before it want nothing more and nothing runs; from its first trial on they
    are over for good.

    kinds: of its trials; what they may do stands there.
    phase: what the search is in while it lasts.
    after: the names of the stages that come before it.
    """

    kinds: ClassVar[Sequence[TrialKind]]
    phase: ClassVar[str]
    after: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def __init__(self, given: Given, earlier: Stages) -> None:
        """`earlier`: those that `after` names are among them."""

    @classmethod
    @abstractmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        """How many trials it starts at most, in a space of so many distinct points."""

    @property
    @abstractmethod
    def wants(self) -> bool:
        """Whether a further trial is to start."""

    @abstractmethod
    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        """The trial to start as `number`; None: there is none before a running one has ended.
        Without any, the stage is stopped.

        Raises:
            Exception: the search cannot go on.
        """

    @abstractmethod
    def apply(self, event: TrialStarted | TrialEnded) -> None:
        """A trial of this stage started or ended."""

    @abstractmethod
    def stop(self, *, is_asked_out: bool = False) -> None:
        """Want nothing more. `is_asked_out`: because `next_trial` has none."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """What takes time before the first trial; else the first `next_trial` takes it."""

    def is_limited(self, trial: Trial) -> bool:
        """Whether one of its trials is held to the limits of the search."""
        return trial.kind.is_limited

    @property
    def has_enough(self) -> bool:
        """Whether the search can do without further trials of it, once its time is short."""
        return True

    @property
    def trial_seconds(self) -> float:
        """Wall seconds that its next trial will take, as earlier trials tell; 0: unknown."""
        return 0.0

    def seconds_left(self, lanes: int) -> float:
        """Wall seconds that all trials take which it has still to start, `lanes` at a time, as
        earlier trials tell; 0: unknown.
        """
        return 0.0

    @property
    def reason(self) -> str | None:
        """Why the search has failed for want of a result of this stage; None where it has not."""
        return None

    @property
    def ending(self) -> str | None:
        """Why it ended before its budget; None where it did not."""
        return None


stages: Registry[type[Stage]] = Registry("stage", "search.engine.stages")
"""Stages, one a file."""


class Stages:
    """The stages of one search, in their order: each after those that it names, by name where that
    leaves a choice.

    archive: what repeats are answered from.
    """

    def __init__(self, given: Given) -> None:
        self.archive = Archive()
        self._stages: list[Stage] = []
        for stage in stages_in_order():
            self._stages.append(stage(given, self))

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages)

    def __getitem__(self, stage: type[S]) -> S:
        return next(begun for begun in self._stages if isinstance(begun, stage))

    def of(self, trial: Trial) -> Stage:
        """The one that started a trial."""
        return next(stage for stage in self._stages if trial.kind in stage.kinds)


def stages_in_order() -> list[type[Stage]]:
    sorter = TopologicalSorter({name: stage.after for name, stage in stages.items()})
    sorter.prepare()
    names: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        names += ready
        sorter.done(*ready)
    return [stages[name] for name in names]
