"""Searches in this process, on spaces of letters, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from models.family import InfeasibleError
from search.engine.feasibility import Screen
from search.engine.journal import Event, MemoryJournal, StaleOwnerError
from search.engine.run import SearchRun
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.ensemble import ENSEMBLE
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import Strategy, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Failure, FailureKind, Proposal, Trial, TrialState
from tests.search.support.spaces import share_of_a, spec_of

ERROR = Failure(FailureKind.ERROR, "RuntimeError: no luck")


class Listening:
    """A strategy that keeps what it is told, around another one."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.told: list[Trial] = []
        self.running: list[tuple[int, ...]] = []

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        self.running.append(tuple(trial.number for trial in running))
        return self._strategy.ask(number, running)

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)
        self._strategy.tell(trial)


class Listed:
    """A strategy that proposes what it was given, in order, and then the last again and again."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate | None:
        return self._candidates[min(number, len(self._candidates) - 1)]

    def tell(self, trial: Trial) -> None: ...


def strategy_of(name: str, space: SearchSpace, **settings: Any) -> Strategy:
    entry = strategies[name]
    return entry(space, entry.Settings(**settings), 0)


def candidates(space: SearchSpace, *words: str) -> list[Candidate]:
    base = space.values(space.sample(rng_for(0, SearchPurpose.EXAMPLE, 0)))
    return [
        space.candidate({**base, **{f"d{i}": letter for i, letter in enumerate(word)}})
        for word in words
    ]


def of_earlier_search(space: SearchSpace, word: str, number: int = 0) -> Trial:
    """The result of a network of these letters, as a search that takes it over has it."""
    candidate = candidates(space, word)[0]
    metrics = {"val_accuracy": word.count("a") / len(word), "parameters": 100.0 * word.count("a")}
    return Trial(
        number,
        CANDIDATE,
        candidate,
        TrialState.CACHED,
        *space.keys(candidate),
        metrics=metrics,
        fitness=(metrics["val_accuracy"],),
        source=7,
        source_search="srch_earlier",
    )


def no_cost(candidate: Candidate) -> dict[str, float]:
    raise AssertionError("nobody limits the cost, so nobody counts it")


def started(
    space: SearchSpace,
    strategy: Strategy,
    spec: SearchSpec | None = None,
    journal: MemoryJournal | None = None,
    cost: Callable[[Candidate], dict[str, float]] = no_cost,
    screen: Screen | None = None,
) -> SearchRun:
    journal = journal or MemoryJournal()
    return SearchRun(spec or spec_of(), space, strategy, journal, cost, screen=screen)


SHARING = sorted(set(strategies) - set(candidate_strategies()))
"""Strategies that stop asking once all has been tried that their supernets derived."""


def complete(run: SearchRun, trial: Trial, **metrics: float) -> None:
    if trial.is_supernet:
        derived = run._candidates._space.sample(Random(trial.number)).architecture
        run.complete(trial.number, {"weight_loss": 1.0}, seconds=1.0, derived=derived)
        return
    if trial.kind is ENSEMBLE:
        run.complete(trial.number, {"val_accuracy": 1.0, "test_accuracy": 0.9}, seconds=1.0)
        return
    score = share_of_a(trial)
    run.complete(trial.number, {"val_accuracy": score, **metrics}, seconds=1.0, worker="w")


def finish(run: SearchRun) -> None:
    while (trial := run.next_trial()) is not None:
        complete(run, trial)


def states(run: SearchRun) -> list[str]:
    return [trial.state.value for trial in run.trials]


def cost_by_letters(candidate: Candidate) -> dict[str, float]:
    values = list(candidate.architecture.decisions.values())
    if "c" in values:
        raise InfeasibleError("d0", "c cannot be built, allowed are a and b")
    return {"parameters": 100.0 * values.count("a")}


class Crashing(MemoryJournal):
    """A journal whose owner dies at its `limit`-th event, before or after it is written."""

    def __init__(self, limit: int, is_written: bool) -> None:
        super().__init__()
        self._limit, self._is_written = limit, is_written

    def append(self, event: Event) -> None:
        self._limit -= 1
        if self._limit > 0 or self._is_written:
            super().append(event)
        if self._limit == 0:
            raise StaleOwnerError


def survivor(journal: MemoryJournal) -> MemoryJournal:
    after = MemoryJournal()
    after.events = list(journal.events)
    return after
