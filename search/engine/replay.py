"""Proof that a search can be repeated: its journal gives the same proposals again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stages
from search.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Difference:
    """An ask whose answer is not the one in the journal; None: there is nothing to ask for."""

    number: int
    recorded: Proposal
    replayed: Proposal | None


@dataclass(frozen=True, slots=True)
class Replay:
    """`asks`: how many were repeated."""

    asks: int
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        return not self.differences


def replay(given: Given, history: Iterable[TrialStarted | TrialEnded]) -> Replay:
    """Ask fresh stages, and with them the strategy, for the trials of `history` in its order, and
    compare the proposals.

    Raises:
        ValueError: the history contradicts itself: what an ask says that the strategy had been
            told, or was given as running, is not what the events before it say.
    """
    stages, running, told = Stages(given), dict[int, Trial](), 0
    asks, differences = 0, list[Difference]()
    for event in history:
        trial = event.trial
        if isinstance(event, TrialEnded):
            if running.pop(trial.number, None) is None and trial.source_search is None:
                raise ValueError(f"trial {trial.number} ended without having started")
            told += trial.is_told
        else:
            if (event.told, event.running) != (told, tuple(running)):
                raise ValueError(
                    f"trial {trial.number} was asked for after {event.told} results with "
                    f"{list(event.running)} running, the events before it give {told} and "
                    f"{list(running)}"
                )
            asks += 1
            asked = stages.of(trial).next_trial(trial.number, tuple(running.values()))
            proposal = None if asked is None else asked.proposal
            if proposal != trial.proposal:
                differences.append(Difference(trial.number, trial.proposal, proposal))
            running[trial.number] = trial
        stages.of(trial).apply(event)
    return Replay(asks, tuple(differences))
