"""The search stage: what is suggested to it, then what the strategy asks for, until the budget is
spent or the space exhausted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.architecture import sha256_of
from search.engine.archive import Tally
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stage, Stages, stages
from search.engine.suggestions import Suggestion
from search.objectives import Incumbents, violation
from search.trial import Candidate, Proposal, Trial, TrialState
from search.trial_kind import TrialKind, registered

if TYPE_CHECKING:
    from search.spec import SearchSpec

CANDIDATE = registered(
    TrialKind(
        "candidate",
        is_told=True,
        competes=True,
        needs_objectives=True,
        is_limited=True,
        stops_early=True,
        is_answered=True,
        counter="trials",
    )
)

SUPERNET = registered(
    TrialKind("supernet", is_told=True, is_limited=True, is_answered=True, counter="trials")
)

MAX_REPEATS = 100
"""Proposals in a row that were all tried before, after which the space counts as exhausted."""

MAX_REFUSALS = 1000
"""Proposals refused without training since the last trial that cost budget, after which the space
counts as exhausted. More than the repeats, because a constraint may leave 1 % of a space.
"""


@stages.register("candidates")
class Candidates(Stage):
    """Nobody else asks the strategy or tells it.

    spent: ended trials that cost budget.
    budget_trials: how many may.
    budget_seconds: wall seconds of the whole search, for the engine to watch; infinite: no limit.
    """

    kinds = (CANDIDATE, SUPERNET)
    phase = "searching"

    def __init__(self, given: Given, earlier: Stages) -> None:
        spec = given.spec
        self._seed, self._constraints = spec.seed, spec.constraints
        self._space, self._archive = given.space, earlier.archive
        self._strategy, self._suggest = given.strategy, given.suggestions
        self.spent = 0
        self.budget_trials = spec.budget.trials
        self.budget_seconds = math.inf if spec.budget.seconds is None else spec.budget.seconds
        self._incumbents = Incumbents(
            len(spec.objectives), spec.final.top, by_loss=spec.final.ties == "loss"
        )
        self._suggestions: Sequence[Suggestion] | None = None
        self._suggested = self._asked = 0
        self._in_flight = 0  # cost budget, unless they turn out to be infeasible
        self._repeats = self._refusals = 0
        self._seconds: list[float] = []  # of those trained to the end
        self._reasons = Tally()  # why trials have no usable result
        self._is_stopped = self._is_asked_out = False

    @classmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        return int(min(spec.budget.trials, distinct))

    @property
    def has_result(self) -> bool:
        return bool(self._incumbents)

    @property
    def best(self) -> list[Trial]:
        """The candidates that would go to the final stage now, best first."""
        return self._incumbents.best()

    @property
    def has_enough(self) -> bool:
        return self.has_result

    @property
    def trial_seconds(self) -> float:
        return statistics.fmean(self._seconds) if self._seconds else 0.0

    @property
    def wants(self) -> bool:
        if self._is_stopped or self._is_exhausted:
            return False
        return self.spent + self._in_flight < self.budget_trials

    @property
    def reason(self) -> str | None:
        if self.has_result:
            return None
        return f"no trial gave a usable result, most often {self._reasons}"

    @property
    def ending(self) -> str | None:
        """There is nothing more to try, whatever the budget."""
        if self._is_asked_out:
            return "the strategy had nothing more to ask for"
        if not self._is_exhausted:
            return None
        what = "architectures"
        if self._space.searches_recipe:
            what = "pairs of architecture and recipe"
        reason = f"the search space is exhausted after {len(self._archive)} distinct {what}"
        if self._refusals >= MAX_REFUSALS:
            reason += f": {self._refusals} in a row were refused, most often {self._reasons}"
        return reason

    def set_budget(self, trials: int | None = None, seconds: float | None = None) -> None:
        """Another budget from now on; None leaves it as it is."""
        self.budget_trials = self.budget_trials if trials is None else trials
        self.budget_seconds = self.budget_seconds if seconds is None else seconds

    def stop(self, *, is_asked_out: bool = False) -> None:
        self._is_stopped, self._is_asked_out = True, self._is_asked_out or is_asked_out

    def prepare(self) -> None:
        """Work out the suggestions, where they are needed."""
        if not self._asked and self._suggestions is None:
            self._suggestions = self._suggest()

    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        if (suggestion := self._suggestion()) is not None:
            return self._trial(number, suggestion.candidate, suggestion.origin)
        proposal = self._strategy.ask(number, running)
        return None if proposal is None else self._trial(number, proposal)

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        if isinstance(event, TrialStarted):
            self._start(event.trial)
        else:
            self._end(event.trial)
            self._strategy.tell(event.trial)

    @property
    def _is_exhausted(self) -> bool:
        return self._repeats >= MAX_REPEATS or self._refusals >= MAX_REFUSALS

    def _suggestion(self) -> Suggestion | None:
        """The next suggestion; None once the strategy is to be asked."""
        self.prepare()
        suggestions = self._suggestions or ()
        if self._asked or self._suggested >= len(suggestions):
            return None
        return suggestions[self._suggested]

    def _trial(self, number: int, proposal: Proposal, origin: str | None = None) -> Trial:
        if isinstance(proposal, Candidate):
            kind, keys = CANDIDATE, self._space.keys(proposal)
        else:
            key = sha256_of(proposal.to_json())
            kind, keys = SUPERNET, (key, key)
        return Trial(
            number,
            kind,
            proposal,
            TrialState.RUNNING,
            *keys,
            seed=self._seed,
            source=self._archive.first(*keys),
            origin=origin,
        )

    def _start(self, trial: Trial) -> None:
        self._suggested += trial.origin is not None
        self._asked += trial.origin is None
        if trial.is_repeat:
            self._repeats += 1
        else:
            self._repeats = 0
            self._in_flight += 1
            self._archive.open(trial)

    def _end(self, trial: Trial) -> None:
        if trial.is_repeat:
            return
        if trial.source_search is None:
            self._in_flight -= 1
            self._count(trial)
            if trial.state is TrialState.COMPLETED and not trial.is_supernet:
                self._seconds.append(trial.seconds)
        else:  # a result of an earlier search: it never ran here, and it can win here
            self._archive.open(trial)
        self._archive.close(trial)
        self._incumbents.add(trial)

    def _count(self, trial: Trial) -> None:
        if trial.costs_budget:
            self.spent += 1
            self._repeats = self._refusals = 0
        else:
            self._refusals += 1
        if trial.failure is not None:
            self._reasons.add(f"{trial.failure.kind.value}: {trial.failure.message}")
        elif trial.fitness is None and not trial.is_supernet:
            self._reasons.add(violation(trial.metrics, self._constraints) or "no score")
