"""What trials of a kind may do. The kinds themselves stand with the stages that start them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from models.registry import Registry

Counter = Literal["trials", "baseline"]
"""A number of a search's progress."""


@dataclass(frozen=True, slots=True)
class TrialKind:
    """A kind that says nothing but its name is trained, and nothing else: nobody is told of it.

    name: in REST, SQL and events.
    is_told: the strategy asked for it, and is told its end; it hears of no other.
    competes: it can be among the best of the search.
    needs_objectives: it has failed without a finite value for every objective.
    is_limited: it is refused for what breaks a limit before training, and has no fitness where its
        result breaks one.
    stops_early: the fidelity rule hears of it, and may pause or stop it.
    is_answered: its `source` is an equal trial, whose result is taken over. Of other kinds it is
        the trial that this one was made from.
    sees_test: it is trained to the end on the data of the final stage, scored on the test split,
        and leaves its weights.
    retrains: its result is an honest one of the candidate `source`, and its model is handed out.
    combines: it makes one model of those of other trials, which is handed out.
    counter: the number of the progress that it is counted in; what counts as `trials` costs budget.
    counts_repeats: in that number as well.
    """

    name: str
    is_told: bool = False
    competes: bool = False
    needs_objectives: bool = False
    is_limited: bool = False
    stops_early: bool = False
    is_answered: bool = False
    sees_test: bool = False
    retrains: bool = False
    combines: bool = False
    counter: Counter | None = None
    counts_repeats: bool = False

    def __post_init__(self) -> None:
        """What a search has learned from is no honest score any more."""
        if self.sees_test and (self.is_told or self.stops_early):
            raise ValueError(f"a search must not learn from the test split, {self.name!r} shows it")

    def __str__(self) -> str:
        return self.name


trial_kinds: Registry[TrialKind] = Registry("kind of trial", "search.engine.stages")
"""Kinds, each in the file of its stage."""


def registered(kind: TrialKind) -> TrialKind:
    return trial_kinds.register(kind.name)(kind)


def kinds_where(has_right: Callable[[TrialKind], bool]) -> list[str]:
    """The names of the kinds that have a right, for queries."""
    return [name for name, kind in trial_kinds.items() if has_right(kind)]
