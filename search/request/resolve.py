"""From a request body to a search that can run, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from models.cost import cost
from models.datasets import UnavailableDatasetError
from models.family import FamilySettings, InfeasibleError, families
from models.recipe import TrainingSettings
from models.registry import UnknownNameError
from models.settings import Settings
from models.task import Task
from models.training.defaults import default_recipe
from models.training.metrics import default_metric, metric_names
from search.evaluators.proxies import ProxyScorer
from search.evaluators.tabular import SCORES, Table, load_table
from search.objectives import COST_METRICS, MEASURED_METRICS, Objective
from search.problems import SpecError, SpecProblem, capped, problem, shown
from search.request.dataset_facts import DatasetFacts, Lookup, named_facts
from search.request.pretraining import pretraining_refusal
from search.request.rules import (
    fidelity_problems,
    final_problems,
    metric_problems,
    objective_problems,
    preset_problems,
    sharing_problems,
    validated,
)
from search.request.space_request import SpaceRequest
from search.space import SearchSpace
from search.spec import MAX_EPOCHS, SearchSpec, TableSpec
from search.strategy import ScoredSettings, ScoredStrategyClass, Strategy, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate
from search.weight_sharing.one_shot import OneShotSettings

__all__ = ["Resolved", "ResolvedSpace", "SpecError", "SpecProblem", "resolve", "resolve_space"]

SEARCHABLE = frozenset({"space", "training"})
"""Fields of a request whose scalars may be domains."""


@dataclass(frozen=True, slots=True)
class ResolvedSpace:
    """`task` is None where there is nothing to train."""

    task: Task | None
    space: SearchSpace

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """Parameters and FLOPs of one sample forward.

        Raises:
            InfeasibleError: no network can be built from the candidate.
        """
        if self.task is None:
            return {}
        return cost(candidate.architecture, self.task, candidate.recipe)


@dataclass(frozen=True, slots=True)
class Resolved(ResolvedSpace):
    """A search that can run. `spec` has every default filled in; resolving it changes nothing.

    `table`: where results are looked up instead of trained.
    """

    spec: SearchSpec
    dataset: DatasetFacts
    table: Table | None = None

    def cost(self, candidate: Candidate) -> dict[str, float]:
        if self.table is not None:
            return self.table.cost(candidate)
        return ResolvedSpace.cost(self, candidate)

    def strategy(self) -> Strategy:
        """The strategy, told nothing yet. One that learns from zero-cost scores reads the data."""
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
    unknown: list[SpecProblem] = []
    facts = _facts(body.get("dataset") if isinstance(body, dict) else None, lookup, unknown)
    if facts is not None and facts.task is None:
        return _resolve_table(body, facts)
    fields, problems = validated(SearchSpec, body, SEARCHABLE)
    if "dataset" in fields:
        problems += unknown
    task = facts.task if facts else None
    if task is not None:
        scores = [f"val_{name}" for name in metric_names(task.name)]
        problems += metric_problems(fields, [*scores, *COST_METRICS, *MEASURED_METRICS])
    problems += objective_problems(fields)
    problems += final_problems(fields)
    problems += preset_problems(fields, task)
    space = _space(fields, task, problems)
    problems += sharing_problems(fields, task if space else None)
    problems += fidelity_problems(fields, max(space.epochs) if space else None)
    if problems or facts is None or task is None or space is None:
        raise SpecError(capped(problems))
    spec = _with_defaults(SearchSpec.model_validate(body), task, space)
    resolved = Resolved(task, space, spec, facts)
    if problems := list(_impossible_costs(resolved)):
        raise SpecError(problems)
    return resolved


def _resolve_table(body: object, facts: DatasetFacts) -> Resolved:
    fields, problems = validated(TableSpec, body)
    table = load_table(facts.reference)
    problems += metric_problems(fields, table.metrics)
    problems += objective_problems(fields)
    strategy = fields.get("strategy")
    if isinstance(strategy, ScoredSettings) and strategy.proxies:
        problems.append(problem("a table has no networks to score", "strategy", "proxies"))
    problems += fidelity_problems(fields, 1)
    if problems:
        raise SpecError(capped(problems))
    spec = TableSpec.model_validate(body)
    defaults = {
        "name": spec.name or f"{spec.dataset}-{spec.strategy.name}",
        "objectives": spec.objectives or (Objective(metric=SCORES[0]),),
    }
    return Resolved(None, table.space(), spec.model_copy(update=defaults), facts, table)


def resolve_space(body: object, lookup: Lookup = named_facts) -> ResolvedSpace:
    """A space alone, for a dataset or for a task.

    Raises:
        SpecError: with all problems of the body.
    """
    fields, problems = validated(SpaceRequest, body, SEARCHABLE)
    task: Task | None = None
    if request := fields.get("task"):
        task = request.task()
    elif facts := _facts(fields.get("dataset"), lookup, problems):
        task = facts.task
        if task is None:
            message = f"{shown(fields['dataset'])} is a table, whose space is its own"
            problems.append(problem(message, "dataset"))
    space = _space(fields, task, problems)
    if problems or task is None or space is None:
        raise SpecError(capped(problems))
    return ResolvedSpace(task, space)


def _facts(name: object, lookup: Lookup, problems: list[SpecProblem]) -> DatasetFacts | None:
    if not isinstance(name, str):
        return None
    try:
        return lookup(name)
    except UnknownNameError as error:
        known = ", ".join(error.known)
        problems.append(problem(f"unknown dataset {shown(name)}, known are {known}", "dataset"))
    except UnavailableDatasetError as error:
        problems.append(problem(str(error), "dataset"))
    return None


def _space(
    fields: Mapping[str, Any], task: Task | None, problems: list[SpecProblem]
) -> SearchSpace | None:
    if task is None or "space" not in fields:
        return None
    settings: FamilySettings = fields["space"]
    family = families[settings.family]
    if task.name not in family.tasks:
        able = [name for name, entry in families.items() if task.name in entry.tasks]
        message = (
            f"{settings.family} is for {', '.join(sorted(family.tasks))}, the task here is "
            f"{task.name}; families for it are {', '.join(able) or 'none'}"
        )
        problems.append(problem(message, "space", "family"))
        return None
    training = with_task_defaults(fields.get("training") or TrainingSettings(), task)
    if refusal := pretraining_refusal(settings.family, training, task):
        problems.append(problem(refusal, "training", "pretraining"))
    try:
        return SearchSpace.of_family(settings.family, family, settings, training, task)
    except InfeasibleError as error:
        problems.append(problem(str(error), "space", error.field))
        return None


def with_task_defaults(training: Settings, task: Task) -> Settings:
    """`training` with the task's own recipe in the fields that the request left out."""
    recipe = default_recipe(task.name)
    left_out = type(training).model_fields.keys() - training.model_fields_set
    return training.model_copy(update={name: getattr(recipe, name) for name in left_out})


def _with_defaults(spec: SearchSpec, task: Task, space: SearchSpace) -> SearchSpec:
    """The spec with what was left open: name, recipe, objectives, epochs of the final trainings."""
    metric, goal = default_metric(task.name)
    epochs = min(3 * max(space.epochs), MAX_EPOCHS)
    strategy = spec.strategy
    if isinstance(strategy, OneShotSettings):
        strategy = strategy.for_task(task.name)
    return spec.model_copy(
        update={
            "name": spec.name or f"{spec.dataset}-{spec.space.family}-{spec.strategy.name}",
            "training": with_task_defaults(spec.training, task),
            "strategy": strategy,
            "objectives": spec.objectives or (Objective(metric=f"val_{metric}", goal=goal),),
            "final": spec.final.model_copy(update={"epochs": spec.final.epochs or epochs}),
        }
    )


def _impossible_costs(resolved: Resolved) -> Iterator[SpecProblem]:
    """The limits on parameters and FLOPs that the only network of a fixed space breaks."""
    if resolved.space.size > 1:
        return
    try:
        metrics = resolved.cost(resolved.space.sample(rng_for(0, SearchPurpose.EXAMPLE, 0)))
    except InfeasibleError as error:
        yield problem(str(error), "space", error.field)
        return
    for index, limit in enumerate(resolved.spec.constraints):
        if limit in resolved.spec.cost_limits and (reason := limit.violation(metrics)):
            yield problem(f"the only network of the space has {reason}", "constraints", index)
