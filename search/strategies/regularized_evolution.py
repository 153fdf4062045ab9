"""Regularized (aging) evolution, Real et al., AAAI 2019, https://arxiv.org/abs/1802.01548.

Algorithm 1, with one mutation of the space in place of the paper's hidden-state and operation
mutations; with `initial_samples` a population that is still growing has children already. With
`crossover_probability` the mutated parent may be a uniform crossover of the winners of two
tournaments, which the paper does not have. A repeat that was answered from an earlier trial joins
the population like a trained one: in the paper a repeat is trained again, and without it a
population whose neighbours have all been tried would stand still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator

from search.space import SearchSpace
from search.strategy import StrategySettings, strategies, with_initial_samples
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial


def _default_sample_size(settings: dict[str, Any]) -> int:
    return min(8, int(settings["population_size"]))


@strategies.register("regularized_evolution")
class RegularizedEvolution:
    """A tournament picks the parent, its mutation is the child, and the oldest dies."""

    objectives = 1

    class Settings(StrategySettings):
        """The population and the pressure on it."""

        # The paper's P=100, S=25 is for 20,000 trials; the defaults are for about a hundred.
        # Distinct networks until the best 0.1 % of NAS-Bench-201 (cifar10; 100 seeds, standard
        # error 9) and of NAS-Bench-Graph (cora; 60 seeds, 13), cap 300: P=10, S=3: 126 and 232;
        # P=20, S=5: 112 and 193; P=20, S=8: 104 and 170; P=50, S=10: 105 and 179; P=100, S=25:
        # 212 and 216. A search of fewer than P trials is random.
        population_size: int = Field(20, ge=2, le=100_000, description="P in the paper")
        sample_size: int = Field(
            default_factory=_default_sample_size,
            ge=1,
            le=100_000,
            description="S, the tournament; default: 8, or a smaller population",
        )

        initial_samples: int | None = Field(
            None,
            ge=1,
            le=100_000,
            description="results before the first mutation, at random as far as nothing else was "
            "tried first; null: a whole population; default: a quarter of the trials, or that",
        )
        crossover_probability: float = Field(
            0.0, ge=0, le=1, description="of two parents instead of one; 0: the paper's algorithm"
        )

        @field_validator("sample_size")
        @classmethod
        def _fits_the_population(cls, size: int, info: ValidationInfo) -> int:
            population_size = info.data.get("population_size")
            if population_size is not None and size > population_size:
                raise ValueError(
                    f"sample_size must not exceed population_size, got {size} and {population_size}"
                )
            return size

        def for_budget(self, trials: int) -> Self:
            return with_initial_samples(self, trials, self.population_size)

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        whole = settings.population_size
        self._initial = min(whole, settings.initial_samples or whole)
        self._population: deque[Trial] = deque(maxlen=settings.population_size)

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        if len(self._population) < self._initial:
            return self._space.sample(rng)
        parent = self._tournament(rng)
        probability = self._settings.crossover_probability
        if probability and rng.random() < probability:
            parent = self._space.crossover(parent, self._tournament(rng), rng)
        return self._space.mutate(parent, rng)

    def tell(self, trial: Trial) -> None:
        if trial.fitness is not None:
            self._population.append(trial)  # the oldest dies, however fit: the regularization

    def _tournament(self, rng: Random) -> Candidate:
        tournament = rng.choices(self._population, k=self._settings.sample_size)
        return max(tournament, key=lambda trial: trial.fitness or ()).candidate
