"""From a request body to a search that can run, or to everything that is wrong with it."""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Self, cast

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from models.cost import cost
from models.datasets import UnavailableDatasetError
from models.families import FamilySettings, InfeasibleError, families
from models.presets import Preset, presets
from models.registry import Registry, UnknownNameError
from models.settings import Items, OneOf, Settings
from models.supernets import supernets
from models.task import GraphSize, Task, TaskName
from models.training.defaults import default_recipe
from models.training.metrics import default_metric, metric_names
from models.training.recipe import TrainingSettings
from search.dataset_facts import DatasetFacts, Lookup, named_facts
from search.evaluators.proxies import ProxyScorer
from search.evaluators.tabular import SCORES, Table, load_table
from search.fidelity import fidelities
from search.objectives import COST_METRICS, MEASURED_METRICS, Constraint, Objective, violation
from search.pretraining import pretraining_inputs, pretraining_refusal
from search.problems import Explainer, SpecError, SpecProblem, capped, problem, shown
from search.space import RECIPE_PREFIX, SearchSpace
from search.spec import MAX_EPOCHS, SearchSpec, TableSpec
from search.strategies import (
    ScoredSettings,
    ScoredStrategyClass,
    Strategy,
    rng_for,
    strategies,
)
from search.trial import Candidate
from search.weight_sharing.inheritance import refusals
from search.weight_sharing.one_shot import OneShotSettings

__all__ = ["Resolved", "ResolvedSpace", "SpecError", "SpecProblem", "resolve", "resolve_space"]

MAX_FINAL_TRIALS = 1000
EXAMPLES = 3
UNIONS: dict[str, tuple[str, Registry[Any]]] = {
    "space": ("family", families),
    "strategy": ("name", strategies),
    "fidelity": ("name", fidelities),
}
SEARCHABLE = frozenset({"space", "training"})
TABLE_UNIONS = {name: UNIONS[name] for name in ("strategy", "fidelity")}
BACKWARD_FLOPS = 2
"""A backward pass costs about two forward passes: one gradient for inputs, one for weights."""

UNIT_METRICS = ("accuracy", "f1", "auc")
"""Metrics in 0..1; all others are at least 0."""


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
        settings, seed = self.spec.strategy, self.spec.seed
        entry = strategies[settings.name]
        if isinstance(settings, ScoredSettings) and settings.proxies:
            scorer = ProxyScorer(self.dataset.reference, settings.proxies, seed)
            return cast("ScoredStrategyClass", entry)(self.space, settings, seed, scorer)
        return entry(self.space, settings, seed)


class GraphRequest(Settings):
    """How large a graph is: what a pass through a network costs."""

    nodes: int = Field(ge=1, le=100_000_000)
    edges: int = Field(ge=0, le=1_000_000_000, description="an undirected edge counts twice")
    entries: int | None = Field(
        None, ge=0, le=1_000_000_000, description="features that are not zero; null: stored dense"
    )


class TaskRequest(Settings):
    """A task without its data."""

    name: TaskName
    input_shape: Items[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(max_length=4)
    outputs: int = Field(ge=1, le=1_000_000, description="classes, or values of a regression")
    vocabulary: int | None = Field(
        None, ge=1, le=1_000_000, description="token ids, of a text task only"
    )
    graph: GraphRequest | None = Field(None, description="size of a graph, of a graph task only")
    targets: Items[Annotated[int, Field(ge=0, le=1_000_000)]] | None = Field(
        None, max_length=10_000, description="columns that are forecast, of forecasting only"
    )

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        self.task()
        return self

    def task(self) -> Task:
        """
        Raises:
            ValueError: there is no such task.
        """
        size = None if self.graph is None else GraphSize(**self.graph.model_dump())
        return Task(self.name, self.input_shape, self.outputs, self.vocabulary, size, self.targets)


class SpaceRequest(Settings):
    """Body of `POST /v1/search-spaces/validate`: a space and what it is for."""

    space: Annotated[FamilySettings, OneOf(families, "family")]
    training: TrainingSettings = Field(default_factory=TrainingSettings)  # type: ignore[valid-type]  # made of Recipe
    dataset: str | None = Field(None, min_length=1, max_length=100)
    task: TaskRequest | None = None

    @model_validator(mode="after")
    def _names_what_it_is_for(self) -> Self:
        if (self.dataset is None) == (self.task is None):
            raise ValueError("give either dataset or task")
        return self


def resolve(body: object, lookup: Lookup = named_facts) -> Resolved:
    """`lookup` knows the datasets that the request may name.

    Raises:
        SpecError: with all problems of the body.
    """
    unknown: list[SpecProblem] = []
    facts = _facts(body.get("dataset") if isinstance(body, dict) else None, lookup, unknown)
    if facts is not None and facts.task is None:
        return _resolve_table(body, facts)
    parts, problems = _validated(SearchSpec, body)
    if "dataset" in parts:
        problems += unknown
    task = facts.task if facts else None
    if task is not None:
        _check_metrics(parts, [f"val_{name}" for name in metric_names(task.name)], problems)
    _check_strategy(parts, problems)
    _check_final(parts, problems)
    _check_baselines(parts, task, problems)
    space = _space(parts, task, problems)
    _check_sharing(parts, task if space else None, problems)
    _check_fidelity(parts, int(max(_epochs(space))) if space else None, problems)
    if problems or facts is None or task is None or space is None:
        raise SpecError(capped(problems))
    spec = _with_defaults(SearchSpec.model_validate(body), task, space)
    resolved = Resolved(task, space, spec, facts)
    if problems := list(_impossible_costs(resolved)):
        raise SpecError(problems)
    return resolved


def _resolve_table(body: object, facts: DatasetFacts) -> Resolved:
    parts, problems = _validated(TableSpec, body, TABLE_UNIONS, frozenset())
    table = load_table(facts.reference)
    _check_metrics(parts, [], problems, table.metrics)
    _check_strategy(parts, problems)
    strategy = parts.get("strategy")
    if isinstance(strategy, ScoredSettings) and strategy.proxies:
        problems.append(problem("a table has no networks to score", "strategy", "proxies"))
    _check_fidelity(parts, 1, problems)
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
    parts, problems = _validated(SpaceRequest, body)
    task: Task | None = None
    if request := parts.get("task"):
        task = request.task()
    elif facts := _facts(parts.get("dataset"), lookup, problems):
        task = facts.task
        if task is None:
            message = f"{shown(parts['dataset'])} is a table, whose space is its own"
            problems.append(problem(message, "dataset"))
    space = _space(parts, task, problems)
    if problems or task is None or space is None:
        raise SpecError(capped(problems))
    return ResolvedSpace(task, space)


def describe(resolved: ResolvedSpace, seed: int = 0) -> dict[str, Any]:
    """The dry run of a space: its size (null: infinite) and example networks with their cost."""
    return {
        "size": _json_number(resolved.space.size),
        "examples": list(itertools.islice(_examples(resolved, seed), EXAMPLES)),
    }


def estimate(resolved: Resolved) -> dict[str, Any]:
    """The dry run of a search: the space, and what the search will cost at most.

    `training_flops` takes the mean of the examples for every trial, and a backward pass for two
    forward passes. It is null where no example could be built.
    """
    spec, described = resolved.spec, describe(resolved, resolved.spec.seed)
    trials = int(min(spec.budget.trials, resolved.space.size))
    finals = min(spec.final.top, trials) * spec.final.seeds
    compared = (trials if spec.baseline else 0) + len(spec.baselines)
    epochs, training_flops = 0.0, None
    if resolved.table is None:
        epochs = statistics.fmean(_epochs(resolved.space)) * (trials + compared)
        epochs += (spec.final.epochs or 0) * finals
        flops = [example["flops"] for example in described["examples"]]
        inputs = pretraining_inputs(spec.training, resolved.dataset.sizes)
        passes = epochs * resolved.dataset.sizes["train"] + (trials + compared + finals) * inputs
        passes *= 1 + BACKWARD_FLOPS
        training_flops = sum(flops) / len(flops) * passes if flops else None
    return {
        **described,
        "trials": trials,
        "baseline_trials": compared,
        "final_trials": finals,
        "epochs": round(epochs),
        "training_flops": training_flops,
        "seconds_limit": spec.budget.seconds,
    }


def _json_number(size: int | float) -> int | float | None:
    """Exact as long as a double can hold it; None for infinity, which JSON has not."""
    if size == math.inf:
        return None
    return size if size <= 2**53 else float(min(size, int(sys.float_info.max)))


def _validated(
    model: type[Settings],
    body: object,
    unions: Mapping[str, tuple[str, Registry[Any]]] = UNIONS,
    searchable: frozenset[str] = SEARCHABLE,
) -> tuple[dict[str, Any], list[SpecProblem]]:
    """The valid fields of a body, defaults included, and the problems of the others."""
    if not isinstance(body, dict) or not all(isinstance(name, str) for name in body):
        raise SpecError([problem(f"the body must be an object, got {shown(body)}")])
    try:
        valid = model.model_validate(body)
    except ValidationError as error:
        problems = list(Explainer(model, unions, searchable).problems(error))
        broken = {details["loc"][0] for details in error.errors() if details["loc"]}
        parts = {
            name: _adapter(model, name).validate_python(
                body[name] if name in body else field.get_default(call_default_factory=True)
            )
            for name, field in model.model_fields.items()
            if name not in broken
        }
        return parts, problems
    return {name: getattr(valid, name) for name in model.model_fields}, []


@cache
def _adapter(model: type[Settings], name: str) -> TypeAdapter[Any]:
    """One field alone, with its own rules."""
    field = model.model_fields[name]
    form: Any = Annotated[field.annotation, field]
    return TypeAdapter(form)


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


def _check_metrics(
    parts: Mapping[str, Any],
    scores: Sequence[str],
    problems: list[SpecProblem],
    costs: Sequence[str] = (*COST_METRICS, *MEASURED_METRICS),
) -> None:
    known = [*scores, *costs]
    for field in ("objectives", "constraints"):
        for index, item in enumerate(parts.get(field, ())):
            if item.metric not in known:
                message = f"unknown metric {shown(item.metric)}, known are {', '.join(known)}"
                problems.append(problem(message, field, index, "metric"))
            elif isinstance(item, Constraint):
                problems.extend(_impossible_limits(item, index))


def _impossible_limits(limit: Constraint, index: int) -> Iterator[SpecProblem]:
    in_unit = limit.metric.removeprefix("val_") in UNIT_METRICS
    if limit.max is not None and limit.max < 0:
        yield problem(
            f"{limit.metric} is never below 0, got {limit.max}", "constraints", index, "max"
        )
    if limit.min is not None and in_unit and limit.min > 1:
        yield problem(f"{limit.metric} is in 0..1, got {limit.min}", "constraints", index, "min")


def _check_strategy(parts: Mapping[str, Any], problems: list[SpecProblem]) -> None:
    objectives: Sequence[Objective] = parts.get("objectives", ())
    seen: set[str] = set()
    for index, objective in enumerate(objectives):
        if objective.metric in seen:
            message = f"each objective names another metric, got {shown(objective.metric)} again"
            problems.append(problem(message, "objectives", index, "metric"))
        seen.add(objective.metric)
    if "strategy" not in parts:
        return
    name = parts["strategy"].name
    if len(objectives) > strategies[name].objectives:
        able = [n for n, entry in strategies.items() if entry.objectives >= len(objectives)]
        message = (
            f"{name} optimises {strategies[name].objectives} objective, got {len(objectives)}; "
            f"strategies for so many are {', '.join(able)}"
        )
        problems.append(problem(message, "objectives"))


def _check_fidelity(
    parts: Mapping[str, Any], epochs: int | None, problems: list[SpecProblem]
) -> None:
    """`epochs`: of the longest trial; None where the space is refused."""
    settings, objectives = parts.get("fidelity"), parts.get("objectives", ())
    if settings is None or not fidelities[settings.name].listens:
        return
    if len(objectives) > 1:
        message = f"{settings.name} compares trials by one objective, got {len(objectives)}"
        problems.append(problem(message, "fidelity"))
    if epochs and not fidelities[settings.name](settings, Objective(metric="any"), epochs).rungs:
        message = (
            f"{settings.name} would stop no trial: the longest has {epochs} epochs, "
            f"got {settings.grace_epochs}"
        )
        problems.append(problem(message, "fidelity", "grace_epochs"))


def _check_sharing(
    parts: Mapping[str, Any], task: Task | None, problems: list[SpecProblem]
) -> None:
    """Whether the networks of the space can share weights, where the strategy has them do it.

    `task`: None where the space is none for it.
    """
    strategy, space = parts.get("strategy"), parts.get("space")
    if not isinstance(strategy, OneShotSettings) or space is None:
        return
    if space.family not in supernets:
        message = (
            f"{strategy.name} shares weights between networks of {', '.join(supernets)}, "
            f"the space here is {space.family}"
        )
        problems.append(problem(message, "strategy", "name"))
        return
    problems += refusals(strategy, parts.get("training"))
    try:
        supernets[space.family].check(space, partial=strategy.channel_divisor, task=task)
    except InfeasibleError as error:
        problems.append(problem(str(error), "space", error.field))


def _check_final(parts: Mapping[str, Any], problems: list[SpecProblem]) -> None:
    final = parts.get("final")
    if final is not None and final.top * final.seeds > MAX_FINAL_TRIALS:
        message = (
            f"top x seeds must not exceed {MAX_FINAL_TRIALS} trainings, "
            f"got {final.top} x {final.seeds}"
        )
        problems.append(problem(message, "final"))


def _check_baselines(
    parts: Mapping[str, Any], task: Task | None, problems: list[SpecProblem]
) -> None:
    names: Sequence[str] = parts.get("baselines", ())
    training = parts.get("training")
    for index, name in enumerate(names):
        if name not in presets():
            message = f"unknown preset {shown(name)}, known are {', '.join(presets())}"
        elif name in names[:index]:
            message = f"each preset is listed once, got {shown(name)} again"
        elif task is not None and (reason := _unfit(presets()[name], task, training)):
            message = f"{name} cannot be trained on this dataset: {reason}"
        else:
            continue
        problems.append(problem(message, "baselines", index))


def _unfit(known: Preset, task: Task, training: Settings | None) -> str | None:
    """Why a preset is no network for the task, or for the recipe."""
    tasks = families[known.architecture.family].tasks
    if task.name not in tasks:
        return f"it is for {', '.join(sorted(tasks))}, the task here is {task.name}"
    family = known.architecture.family
    if training is not None and (refusal := pretraining_refusal(family, training, task)):
        return refusal
    try:
        cost(known.architecture, task, known.recipe_for(task))
    except InfeasibleError as error:
        return str(error)
    return None


def _space(
    parts: Mapping[str, Any], task: Task | None, problems: list[SpecProblem]
) -> SearchSpace | None:
    if task is None or "space" not in parts:
        return None
    settings: FamilySettings = parts["space"]
    family = families[settings.family]
    if task.name not in family.tasks:
        able = [name for name, entry in families.items() if task.name in entry.tasks]
        message = (
            f"{settings.family} is for {', '.join(sorted(family.tasks))}, the task here is "
            f"{task.name}; families for it are {', '.join(able) or 'none'}"
        )
        problems.append(problem(message, "space", "family"))
        return None
    training = with_task_defaults(parts.get("training") or TrainingSettings(), task)
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
    epochs = min(3 * int(max(_epochs(space))), MAX_EPOCHS)
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
        metrics = resolved.cost(resolved.space.sample(rng_for(0, 0)))
    except InfeasibleError as error:
        yield problem(str(error), "space", error.field)
        return
    for index, limit in enumerate(resolved.spec.constraints):
        if limit in resolved.spec.cost_limits and (reason := limit.violation(metrics)):
            yield problem(f"the only network of the space has {reason}", "constraints", index)


def _examples(resolved: ResolvedSpace, seed: int) -> Iterator[dict[str, Any]]:
    """Distinct random networks that can be built, from a bounded number of draws."""
    seen: set[tuple[str, str]] = set()
    limits = resolved.spec.cost_limits if isinstance(resolved, Resolved) else ()
    for number in range(10 * EXAMPLES):
        candidate = resolved.space.sample(rng_for(seed, number))
        keys = resolved.space.keys(candidate)
        if keys in seen:
            continue
        seen.add(keys)
        try:
            metrics = resolved.cost(candidate)
        except InfeasibleError:
            continue
        yield {**candidate.to_json(), **metrics, "violation": violation(metrics, limits)}


def _epochs(space: SearchSpace) -> list[float]:
    """The numbers of epochs that a trial may have."""
    name = f"{RECIPE_PREFIX}epochs"
    domain = next(decision.domain for decision in space.decisions if decision.name == name)
    return [float(epochs) for epochs in domain.values()]
