"""Proof that a search can be repeated: its journal gives the same proposals again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stages.baseline import Baseline
from search.engine.suggestions import Suggestion
from search.strategy import Strategy
from search.trial import Proposal, Trial, TrialKind


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


def replay(
    strategy: Strategy,
    history: Iterable[TrialStarted | TrialEnded],
    baseline: Baseline | None = None,
    suggestions: Sequence[Suggestion] = (),
) -> Replay:
    """Ask and tell a fresh `strategy` in the order of `history`, and compare the proposals; those
    of a fresh `baseline` as well. What the strategy was not asked for is compared with
    `suggestions`, worked out anew.

    Raises:
        ValueError: the history contradicts itself: what an ask says that the strategy had been
            told, or was given as running, is not what the events before it say.
    """
    running: dict[int, Trial] = {}
    suggested = iter(suggestions)
    asks = told = 0
    differences: list[Difference] = []
    for event in history:
        trial = event.trial
        if isinstance(event, TrialEnded):
            if running.pop(trial.number, None) is None and trial.source_search is None:
                raise ValueError(f"trial {trial.number} ended without having started")
            if trial.kind is TrialKind.BASELINE and baseline is not None:
                baseline.apply(event)
            if trial.is_told:
                strategy.tell(trial)
                told += 1
            continue
        if (event.told, event.running) != (told, tuple(running)):
            raise ValueError(
                f"trial {trial.number} was asked for after {event.told} results with "
                f"{list(event.running)} running, the events before it give {told} and "
                f"{list(running)}"
            )
        proposal: Proposal | None = trial.proposal
        if trial.is_told:
            asks += 1
            if trial.origin is None:
                proposal = strategy.ask(trial.number, tuple(running.values()))
            else:
                suggestion = next(suggested, None)
                proposal = suggestion.candidate if suggestion else None
        elif trial.kind is TrialKind.BASELINE and baseline is not None:
            asks += 1
            proposal = baseline.ask(trial.number)
            baseline.apply(event)
        if proposal != trial.proposal:
            differences.append(Difference(trial.number, trial.proposal, proposal))
        running[trial.number] = trial
    return Replay(asks, tuple(differences))
