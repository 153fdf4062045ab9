"""Tree-structured Parzen estimators, Bergstra et al., NeurIPS 2011, section 4, through Optuna.

Optuna's study holds what was told and nothing else; each ask takes a fresh sampler with a seed of
its own, so that the study is rebuilt by telling it the trials again. Each decision has a density of
its own (independent sampling). A draw that was tried before, or runs now, is mutated until it is
new: the densities of few good trials would repeat them for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field

from models.domains import Choice, Domain, Scalar
from search.space import SearchSpace
from search.strategy import StrategySettings, strategies, with_initial_samples
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Keys = tuple[str, str]

MAX_MUTATIONS = 20
"""Of a draw, until it is new."""


@strategies.register("tpe")
class Tpe:
    """Draws where the density of good trials is large against that of the others."""

    objectives = 1

    class Settings(StrategySettings):
        """Those of `optuna.samplers.TPESampler`, which says more."""

        initial_samples: int = Field(
            10,
            ge=1,
            le=100_000,
            description="results before the first estimate, at random as far as nothing else was "
            "tried first; default: a quarter of the trials, at most 10",
        )
        candidates: int = Field(
            24, ge=1, le=100_000, description="draws from the good density, of which one is taken"
        )

        def for_budget(self, trials: int) -> Self:
            return with_initial_samples(self, trials, self.initial_samples)

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        import optuna  # takes a second, which only a search by this strategy has to pay

        self._space, self._settings, self._seed = space, settings, seed
        self._domains = {d.name: d.domain for d in space.decisions if d.domain.size > 1}
        self._distributions = {name: _distribution(d) for name, d in self._domains.items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(direction="maximize", storage=self._storage)
        self._tried: set[Keys] = set()

    def tell(self, trial: Trial) -> None:
        import optuna

        keys = self._space.keys(trial.candidate)
        if trial.fitness is not None and keys not in self._tried:
            values = self._space.values(trial.candidate)
            active = {name: values[name] for name in self._domains if name in values}
            told = optuna.trial.create_trial(
                value=trial.fitness[0],
                params={name: _to_optuna(self._domains[name], v) for name, v in active.items()},
                distributions={name: self._distributions[name] for name in active},
            )
            self._study.add_trial(told)
        self._tried.add(keys)

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        busy = {self._space.keys(trial.candidate) for trial in running}
        candidate = self._draw(rng.randrange(2**31))
        for _ in range(MAX_MUTATIONS):
            keys = self._space.keys(candidate)
            if keys not in self._tried and keys not in busy:
                break
            candidate = self._space.mutate(candidate, rng)
        return candidate

    def _draw(self, seed: int) -> Candidate:
        import optuna

        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self._settings.initial_samples,
            n_ei_candidates=self._settings.candidates,
            multivariate=False,
            seed=seed,
        )
        study = optuna.load_study(  # one that has not kept the trials of an earlier ask
            study_name=self._study.study_name, storage=self._storage, sampler=sampler
        )
        asking = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        values: dict[str, Scalar] = {}
        for decision in self._space.decisions:
            if not decision.is_active(values):
                continue
            name = decision.name
            if name in self._domains:
                distribution = self._distributions[name]
                drawn = sampler.sample_independent(study, asking, name, distribution)
                values[name] = _from_optuna(self._domains[name], drawn)
            else:
                values[name] = decision.domain.first
        return self._space.candidate(values)


def _distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain: a choice by index, and a range of floats with steps as well."""
    from optuna import distributions as of

    if isinstance(domain, Choice):
        return of.CategoricalDistribution(range(int(domain.size)))
    if domain.is_integer:
        step = int(domain.step or 1)
        last = int(domain.low) + (int(domain.size) - 1) * step
        return of.IntDistribution(int(domain.low), last, domain.log, step)
    if domain.step is not None:
        return of.IntDistribution(0, int(domain.size) - 1)
    return of.FloatDistribution(float(domain.low), float(domain.high), domain.log)


def _is_by_index(domain: Domain) -> bool:
    return isinstance(domain, Choice) or (domain.step is not None and not domain.is_integer)


def _to_optuna(domain: Domain, value: Scalar) -> Scalar:
    if isinstance(domain, Choice):
        return domain.encode(value).index(1.0)
    return domain.values().index(value) if _is_by_index(domain) else value


def _from_optuna(domain: Domain, value: Scalar) -> Scalar:
    if not _is_by_index(domain):
        return value
    return domain.values()[int(value)]
