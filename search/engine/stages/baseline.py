"""What a strategy is measured against, in the same search: known networks, and random search with
as many trials.
"""

from __future__ import annotations

from models.domains import as_domain
from models.presets import preset
from models.recipe import Recipe
from search.engine.archive import Archive, identity
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.stages.candidates import MAX_REFUSALS, MAX_REPEATS
from search.space import SearchSpace
from search.spec import SearchSpec
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial, TrialKind, TrialState


def preset_candidate(name: str, spec: SearchSpec) -> Candidate:
    """A preset under the recipe of the search. Where that is searched, the preset's own value, else
    the middle of the domain.
    """
    known, values = preset(name), {}
    for field in Recipe.model_fields:
        domain = as_domain(getattr(spec.training, field))
        values[field] = domain.levels(1)[0]
        if domain.size > 1 and field in known.recipe:
            values[field] = known.recipe[field]
    return Candidate(known.architecture, Recipe.model_validate(values))


class Baseline:
    """First the presets of `spec.baselines`, in their order; then, with `spec.baseline`, random
    search without repeats: a function of seed, number and its own earlier trials. It knows nothing
    of the strategy's trials, and they nothing of it.
    """

    def __init__(self, space: SearchSpace, spec: SearchSpec) -> None:
        self._space, self._seed, self._is_random = (
            space,
            spec.stream_seed,
            spec.baseline is not None,
        )
        self._presets = [preset_candidate(name, spec) for name in spec.baselines]
        self._first: int | None = None
        self._known: set[bytes] = set()
        self._started = self._counted = self._refusals = 0
        self._is_exhausted = False

    @property
    def has_started(self) -> bool:
        return self._first is not None

    def wants(self, spent: int) -> bool:
        """Whether a further trial is to start: every preset, and as many random ones as the
        strategy has `spent`, those left out that were refused without training.
        """
        if self._started < len(self._presets):
            return True
        return self._is_random and not self._is_exhausted and self._counted < spent

    def is_preset(self, trial: Trial) -> bool:
        """The presets are the first trials of the baseline, in a row."""
        if trial.kind is not TrialKind.BASELINE or self._first is None:
            return False
        return trial.number < self._first + len(self._presets)

    def next_trial(self, number: int, archive: Archive) -> Trial | None:
        """The trial to start as `number`; None where the space has nothing more to draw.

        A network that the strategy has trained as well is answered from there and counts all the
        same: random search alone would have trained it. Not from a result that began with weights
        of a supernet, which random search alone has not.
        """
        candidate = self.ask(number)
        if candidate is None:
            return None
        keys = self._space.keys(candidate)
        return Trial(
            number,
            TrialKind.BASELINE,
            candidate,
            TrialState.RUNNING,
            *keys,
            seed=int(self._seed),
            source=archive.first_from_scratch(*keys),
        )

    def ask(self, number: int) -> Candidate | None:
        """The proposal for trial `number`; None where the space has nothing more to draw."""
        if self._started < len(self._presets):
            return self._presets[self._started]
        rng = rng_for(self._seed, SearchPurpose.BASELINE, number)
        for _ in range(MAX_REPEATS if self._refusals < MAX_REFUSALS else 0):
            candidate = self._space.sample(rng)
            if identity(*self._space.keys(candidate)) not in self._known:
                return candidate
        self._is_exhausted = True
        return None

    def apply(self, event: TrialStarted | TrialEnded) -> None:
        """A trial of the baseline started or ended."""
        trial = event.trial
        if isinstance(event, TrialStarted):
            if self._first is None:
                self._first = trial.number
            self._started += 1
        if self.is_preset(trial):
            return
        if isinstance(event, TrialStarted):
            self._known.add(identity(*self._space.keys(trial.candidate)))
            self._counted += 1
        elif trial.is_refused:
            self._counted -= 1
            self._refusals += 1
        else:
            self._refusals = 0
