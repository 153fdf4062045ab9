"""From a request body to a search that can run, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from models.datasets import UnavailableDatasetError
from models.family import InfeasibleError
from models.registry import UnknownNameError
from models.training.baseline import comparable
from search.evaluators.proxies import ProxyScorer
from search.memory import Memory
from search.problems import SpecError, SpecProblem, SpecWarning, problem, shown
from search.recalling import Recalling
from search.request.choices import doubtful_choices, short_budget
from search.request.dataset_facts import DatasetFacts, Lookup, named_facts
from search.request.defaults import defaults
from search.request.limits import unmet_limits
from search.request.read import read
from search.request.rules import rules
from search.request.source import Source, source_of
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategy import ScoredSettings, ScoredStrategyClass, Strategy, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate

__all__ = ["Resolved", "SpecError", "SpecProblem", "reopen", "resolve"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A search that can run. `spec` has every default filled in; resolving it changes nothing."""

    spec: SearchSpec
    source: Source
    space: SearchSpace
    warnings: tuple[SpecWarning, ...] = ()

    @property
    def dataset(self) -> DatasetFacts:
        return self.source.dataset

    @property
    def floor(self) -> dict[str, float] | None:
        """What knows nothing of the dataset scores on validation, as far as it means the same as
        the scores of this search; None: unknown.
        """
        known = self.dataset.baseline
        if known is None:
            return None
        return comparable(known, self.spec.training, self.spec.errors_in)

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """What is known of a candidate before it is evaluated.

        Raises:
            InfeasibleError: it cannot be evaluated.
        """
        return self.source.cost(candidate)

    def strategy(self, memory: Memory = ()) -> Strategy:
        """The strategy, told nothing yet, beside what the search remembers of earlier ones. One
        that learns from zero-cost scores reads the data.
        """
        alone = self._strategy()
        return Recalling(alone, self.space, memory) if memory else alone

    def _strategy(self) -> Strategy:
        settings, seed = self.spec.strategy, self.spec.stream_seed
        entry = strategies[settings.name]
        if isinstance(settings, ScoredSettings) and settings.proxies:
            scorer = ProxyScorer(self.dataset.reference, settings.proxies, seed)
            return cast("ScoredStrategyClass", entry)(self.space, settings, seed, scorer)
        return entry(self.space, settings, seed)


def resolve(body: object, lookup: Lookup = named_facts) -> Resolved:
    """`lookup` knows the datasets that the request may name.

    Raises:
        SpecError: with all problems of the body.
    """
    draft = read(SearchSpec, body)
    source, space = None, None
    refused: list[SpecProblem] = []
    try:
        source = source_of(facts(draft.spec.dataset, lookup)) if draft.has("dataset") else None
    except SpecError as error:
        refused += error.problems
    draft = defaults(draft, source)
    try:
        space = source.space(draft.spec) if source and draft.has("space") else None
    except SpecError as error:
        refused += error.problems
    problems = [*draft.problems, *refused, *rules(draft, source, space)]
    if problems or source is None or space is None:
        raise SpecError(problems, draft.untold)
    warnings = (*draft.warnings, *_told(source.dataset), *_doubts(draft.spec, source.dataset))
    resolved = Resolved(draft.spec, source, space, warnings)
    if problems := list(_impossible_costs(resolved)):
        raise SpecError(problems)
    return resolved


def reopen(spec: SearchSpec, lookup: Lookup = named_facts) -> Resolved:
    """The search of a stored spec, which is held to no rule again.

    Raises:
        SpecError: its dataset is gone, or gives another space now.
    """
    source = source_of(facts(spec.dataset, lookup))
    return Resolved(spec, source, source.space(spec))


def facts(name: str, lookup: Lookup) -> DatasetFacts:
    """
    Raises:
        SpecError: there is no such dataset, or it is away.
    """
    try:
        return lookup(name)
    except UnknownNameError as error:
        message = f"unknown dataset {shown(name)}, known are {', '.join(error.known)}"
    except UnavailableDatasetError as error:
        message = str(error)
    raise SpecError([problem(message, "dataset")])


def _impossible_costs(resolved: Resolved) -> Iterator[SpecProblem]:
    """The limits on parameters and FLOPs that the only network of a fixed space breaks, or likely
    all of another.
    """
    if resolved.space.size > 1:
        yield from unmet_limits(resolved.spec, resolved.space, resolved.cost)
        return
    try:
        metrics = resolved.cost(resolved.space.sample(rng_for(0, SearchPurpose.EXAMPLE, 0)))
    except InfeasibleError as error:
        yield problem(str(error), "space", error.field)
        return
    for index, limit in enumerate(resolved.spec.constraints):
        if limit in resolved.spec.cost_limits and (reason := limit.violation(metrics)):
            yield problem(f"the only network of the space has {reason}", "constraints", index)


def _told(dataset: DatasetFacts) -> Iterator[SpecWarning]:
    for remark in dataset.remarks:
        yield SpecWarning(remark.code, remark.message, "/dataset")


def _doubts(spec: SearchSpec, dataset: DatasetFacts) -> Iterator[SpecWarning]:
    yield from short_budget(spec)
    if dataset.task is not None:
        yield from doubtful_choices(spec, dataset, dataset.task)
