"""What a strategy is measured against, in the same search: known networks, and random search with
as many trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.domains import as_domain
from models.recipe import Recipe
from search.engine.archive import identity
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stage import Given, Stage, Stages, stages
from search.engine.stages.candidates import MAX_REFUSALS, MAX_REPEATS, Candidates
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial, TrialState
from search.trial_kind import TrialKind, registered

if TYPE_CHECKING:
    from search.spec import SearchSpec

BASELINE = registered(
    TrialKind(
        "baseline",
        needs_objectives=True,
        is_limited=True,
        is_answered=True,
        counter="baseline",
        counts_repeats=True,
    )
)


def preset_candidate(name: str, spec: SearchSpec) -> Candidate:
    """A preset under the recipe of the search. Where that is searched, the preset's own value, else
    the middle of the domain.
    """
    from models.presets import preset  # imports torch

    known, values = preset(name), {}
    for field in Recipe.model_fields:
        domain = as_domain(getattr(spec.training, field))
        values[field] = domain.levels(1)[0]
        if domain.size > 1 and field in known.recipe:
            values[field] = known.recipe[field]
    recipe = Recipe.model_validate(values)
    return Candidate(known.architecture, recipe if spec.is_older else recipe.canonical())


@stages.register("baseline")
class Baseline(Stage):
    """First the presets of the baselines, in their order; then, with `spec.baseline`, random
    search without repeats and as long as the strategy's: a function of seed, number and its own
    earlier trials. It knows nothing of the strategy's trials, and they nothing of it.

    known: the presets that have a result.
    """

    kinds = (BASELINE,)
    phase = "baseline"
    after = ("candidates",)

    def __init__(self, given: Given, earlier: Stages) -> None:
        spec = given.spec
        self._space, self._archive = given.space, earlier.archive
        self._candidates = earlier[Candidates]
        self._seed, self._is_random = spec.stream_seed, spec.baseline is not None
        self._presets = [preset_candidate(name, spec) for name in spec.presets]
        self._first: int | None = None
        self._known: set[bytes] = set()
        self._started = self._counted = self._refusals = 0
        self.known: list[Trial] = []
        self._is_stopped = False

    @classmethod
    def counts(cls, spec: SearchSpec, distinct: float) -> int:
        drawn = Candidates.counts(spec, distinct) if spec.baseline else 0
        return drawn + len(spec.presets)

    @property
    def wants(self) -> bool:
        """Of a search that found something: every preset, and as many random ones as the strategy
        has spent, those left out that were refused without training.
        """
        if self._is_stopped or not self._candidates.has_result:
            return False
        if self._started < len(self._presets):
            return True
        return self._is_random and self._counted < self._candidates.spent

    @property
    def trial_seconds(self) -> float:
        """Of a network like the strategy's."""
        return self._candidates.trial_seconds if self.wants else 0.0

    def seconds_left(self, lanes: int) -> float:
        drawn = self._candidates.spent - self._counted if self._is_random else 0
        left = drawn + max(0, len(self._presets) - self._started)
        return math.ceil(left / lanes) * self.trial_seconds

    def is_limited(self, trial: Trial) -> bool:
        """Known networks are compared with, whatever they cost."""
        return not self._is_preset(trial)

    def next_trial(self, number: int, running: Sequence[Trial]) -> Trial | None:
        """None where the space has nothing more to draw.

        A network that the strategy has trained as well is answered from there and counts all the
        same: random search alone would have trained it. Not from a result that began with weights
        of a supernet, which random search alone has not.
        """
        candidate = self._ask(number)
        if candidate is None:
            self.stop()
            return None
        keys = self._space.keys(candidate)
        return Trial(
            number,
            BASELINE,
            candidate,
            TrialState.RUNNING,
            *keys,
            seed=int(self._seed),
            source=self._archive.first_from_scratch(*keys),
        )

    def stop(self, *, is_asked_out: bool = False) -> None:
        self._is_stopped = True

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        trial = event.trial
        if isinstance(event, TrialStarted):
            if self._first is None:
                self._first = trial.number
            self._started += 1
        if self._is_preset(trial):
            if isinstance(event, TrialEnded) and trial.failure is None:
                self.known.append(trial)
            return
        if isinstance(event, TrialStarted):
            self._known.add(identity(*self._space.keys(trial.candidate)))
            self._counted += 1
        elif trial.is_refused:
            self._counted -= 1
            self._refusals += 1
        else:
            self._refusals = 0

    def _is_preset(self, trial: Trial) -> bool:
        """The presets are the first trials, in a row."""
        return self._first is not None and trial.number < self._first + len(self._presets)

    def _ask(self, number: int) -> Candidate | None:
        if self._started < len(self._presets):
            return self._presets[self._started]
        rng = rng_for(self._seed, SearchPurpose.BASELINE, number)
        for _ in range(MAX_REPEATS if self._refusals < MAX_REFUSALS else 0):
            candidate = self._space.sample(rng)
            if identity(*self._space.keys(candidate)) not in self._known:
                return candidate
        return None
