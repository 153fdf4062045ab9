"""What strategies that share weights have in common: supernets first, then what they derived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from search.space import SearchSpace
from search.strategy import strategies
from search.streams import SearchPurpose, rng_for, seed_document, supernet_seed
from search.trial import Candidate, Proposal, SupernetProposal, Trial
from search.weight_sharing.one_shot import OneShotSettings, TrainsSupernets


def candidate_strategies() -> list[str]:
    """The strategies that need no supernet: they can search tables and anything else that knows
    the score of an architecture alone.
    """
    return [
        name
        for name, entry in strategies.items()
        if not (isinstance(entry, type) and issubclass(entry, TrainsSupernets))
    ]


class WeightSharing(TrainsSupernets):
    """Asks for one supernet a seed, then for the architecture that each of them derived.

    Where the recipe is searched too, a derived architecture is tried with a random recipe. When
    all that was derived has been asked for, there is nothing more to ask.

    With `inherit_weights` a derived architecture begins with the weights of its supernet. One that
    several supernets derive is tried once by each recipe, with the weights of the first of them
    that ended; one that has a result already, as of an earlier search, is not tried again.
    """

    objectives = 1
    method: str

    def __init__(self, space: SearchSpace, settings: OneShotSettings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._supernets = 0
        self._derived: list[Candidate] = []
        self._asked: set[tuple[str, str]] = set()

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        begun = sum(trial.is_supernet for trial in running)
        supernets = self._supernets + begun
        if supernets < self._settings.seeds:
            settings = self._settings.model_dump(mode="json", exclude={"name"})
            seed = supernet_seed(self._seed, number)
            return SupernetProposal(self.method, {**settings, **seed_document(seed)})
        busy = {self._space.keys(trial.candidate) for trial in running if not trial.is_supernet}
        for candidate in self._derived:
            keys = self._space.keys(candidate)
            if keys not in busy and keys not in self._asked:
                return candidate
        return None

    def tell(self, trial: Trial) -> None:
        if not trial.is_supernet:
            self._asked.add(self._space.keys(trial.candidate))
            return
        self._supernets += 1
        if trial.derived is not None:
            rng = rng_for(self._seed, SearchPurpose.DERIVED_RECIPE, trial.number)
            candidate = self._space.completed(trial.derived, rng)
            if self._settings.inherit_weights:
                candidate = replace(candidate, weights_from=trial.number)
            self._derived.append(candidate)
