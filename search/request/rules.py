"""Rules between the fields of a request, and between them and its dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from models.cost import cost
from models.domains import as_domain
from models.family import InfeasibleError, families
from models.presets import Preset, presets
from models.recipe import TrainingSettings
from models.supernets import supernets
from models.task import Task
from search.fidelity import fidelities
from search.objectives import COST_METRICS, MEASURED_METRICS, Constraint, Objective
from search.problems import SpecProblem, problem, shown
from search.request.pretraining import pretraining_refusal
from search.request.read import Draft
from search.request.source import Source
from search.space import SearchSpace
from search.spec import SIMPLE, SearchSpec
from search.strategy import strategies
from search.weight_sharing.inheritance import SHARED_BY_NETWORKS, refusals
from search.weight_sharing.one_shot import OneShotSettings

MAX_FINAL_TRIALS = 1000

UNIT_METRICS = ("accuracy", "f1", "auc", "balanced_accuracy", "average_precision")
"""Metrics in 0..1; all others are at least 0, but for those that have no least value."""

UNBOUNDED_METRICS = ("r2",)
"""At most 1."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a rule looks at; `source` and `space` are None where they are refused."""

    spec: SearchSpec
    source: Source | None
    space: SearchSpace | None


Rule = Callable[[Held], Iterator[SpecProblem]]

_rules: list[tuple[tuple[str, ...], Rule]] = []


def rules(
    draft: Draft[SearchSpec], source: Source | None, space: SearchSpace | None
) -> Iterator[SpecProblem]:
    """All that is wrong between the fields that are valid by themselves."""
    held = Held(draft.spec, source, space)
    for fields, rule in _rules:
        if draft.has(*fields):
            yield from rule(held)
    if source is not None:
        yield from source.problems(draft)


def _about(*fields: str) -> Callable[[Rule], Rule]:
    """Decorator: the rule below looks at these fields, and at those that it does without."""

    def add(rule: Rule) -> Rule:
        _rules.append((fields, rule))
        return rule

    return add


@_about("objectives")
def _objectives_are_known(held: Held) -> Iterator[SpecProblem]:
    yield from _unknown_metrics("objectives", held.spec.objectives, held.source)


@_about("constraints")
def _limits_are_known_and_possible(held: Held) -> Iterator[SpecProblem]:
    yield from _unknown_metrics("constraints", held.spec.constraints, held.source)
    for index, limit in enumerate(held.spec.constraints):
        if held.source is not None and limit.metric in held.source.metrics:
            yield from _impossible_limits(limit, index)


@_about("objectives")
def _objectives_are_distinct(held: Held) -> Iterator[SpecProblem]:
    seen: set[str] = set()
    for index, objective in enumerate(held.spec.objectives):
        if objective.metric in seen:
            message = f"each objective names another metric, got {shown(objective.metric)} again"
            yield problem(message, "objectives", index, "metric")
        seen.add(objective.metric)


@_about("objectives", "strategy")
def _objectives_are_no_more_than_the_strategy_takes(held: Held) -> Iterator[SpecProblem]:
    name, count = held.spec.strategy.name, len(held.spec.objectives)
    if count > strategies[name].objectives:
        able = [n for n, entry in strategies.items() if entry.objectives >= count]
        message = (
            f"{name} optimises {strategies[name].objectives} objective, got {count}; "
            f"strategies for so many are {', '.join(able)}"
        )
        yield problem(message, "objectives")


@_about("final")
def _final_trainings_have_an_end(held: Held) -> Iterator[SpecProblem]:
    final = held.spec.final
    if final.top * final.seeds > MAX_FINAL_TRIALS:
        message = (
            f"top x seeds must not exceed {MAX_FINAL_TRIALS} trainings, "
            f"got {final.top} x {final.seeds}"
        )
        yield problem(message, "final")


@_about("ensemble", "final")
def _an_ensemble_chooses_among_several(held: Held) -> Iterator[SpecProblem]:
    final = held.spec.final
    if held.spec.ensemble is not None and final.top * final.seeds < 2:
        message = (
            "an ensemble is chosen among two final trainings at least, "
            f"got {final.top} x {final.seeds} of final.top and final.seeds"
        )
        yield problem(message, "ensemble")


@_about("ensemble", "objectives", "constraints", "force")
def _an_ensemble_is_not_held_to_what_a_network_costs(held: Held) -> Iterator[SpecProblem]:
    """It takes what all of its members take together."""
    spec = held.spec
    if spec.ensemble is None or spec.force:
        return
    costs = (*COST_METRICS, *MEASURED_METRICS)
    asked = [o.metric for o in spec.objectives] + [limit.metric for limit in spec.constraints]
    if named := [name for name in dict.fromkeys(asked) if name in costs]:
        message = (
            f"an ensemble takes the {', '.join(named)} of all its networks together, which the "
            'search is asked to keep low or within limits; "force": true puts one together all '
            "the same, to be handed out where it keeps every limit"
        )
        yield problem(message, "ensemble")


@_about("resources")
def _a_trial_computes_on_one_card(held: Held) -> Iterator[SpecProblem]:
    gpus = held.spec.resources.gpus_per_trial
    if gpus > 1:
        message = f"one trial uses one GPU, or a share of it: at most 1 is allowed, got {gpus:g}"
        yield problem(message, "resources", "gpus_per_trial")


@_about("baselines")
def _presets_are_networks_for_the_task(held: Held) -> Iterator[SpecProblem]:
    """In place of a recipe that is refused stands the default."""
    task = None if held.source is None else held.source.dataset.task
    for index, name in enumerate(held.spec.baselines):
        if name == SIMPLE:
            continue
        if name not in presets():
            message = f"unknown preset {shown(name)}, known are {', '.join(presets())}"
        elif name in held.spec.baselines[:index]:
            message = f"each preset is listed once, got {shown(name)} again"
        elif task is not None and (reason := _unfit(presets()[name], task, held.spec.training)):
            message = f"{name} cannot be trained on this dataset: {reason}"
        else:
            continue
        yield problem(message, "baselines", index)


@_about("suggestions", "budget")
def _suggestions_are_tried(held: Held) -> Iterator[SpecProblem]:
    suggested, trials = len(held.spec.suggestions), held.spec.budget.trials
    if suggested > trials:
        message = f"{suggested} suggestions are more than the {trials} trials of the budget"
        yield problem(message, "suggestions")


@_about("space", "suggestions")
def _suggestions_are_points_of_the_space(held: Held) -> Iterator[SpecProblem]:
    for index, suggested in enumerate(held.spec.suggestions if held.space else ()):
        assert held.space is not None  # noqa: S101 - for the type checker
        try:
            held.space.known(suggested.architecture())
        except ValueError as error:
            yield problem(str(error), "suggestions", index)


@_about("space", "strategy")
def _networks_can_share_weights(held: Held) -> Iterator[SpecProblem]:
    """If the strategy has them do it. In place of a recipe that is refused stands the default."""
    strategy = held.spec.strategy
    if not isinstance(strategy, OneShotSettings) or not held.spec.members:
        return
    if len(held.spec.members) > 1:
        able = [name for name in held.spec.families if name in supernets]
        message = (
            f"{strategy.name} shares weights between networks of one family, the space here has "
            f"{', '.join(held.spec.families)}; name one as space: {', '.join(able) or 'none can'}"
        )
        yield problem(message, "strategy", "name")
        return
    (settings,) = held.spec.members
    if settings.family not in supernets:
        message = (
            f"{strategy.name} shares weights between networks of {', '.join(supernets)}, "
            f"the space here is {settings.family}"
        )
        yield problem(message, "strategy", "name")
        return
    yield from refusals(strategy, held.spec.training)
    task = None if held.source is None or held.space is None else held.source.dataset.task
    try:
        partial = strategy.channel_divisor
        supernets[settings.family].check(settings, partial=partial, task=task)
    except InfeasibleError as error:
        yield problem(str(error), "space", error.field)


@_about("strategy", "training")
def _supernets_have_one_loss_and_one_vocabulary(held: Held) -> Iterator[SpecProblem]:
    for name, what in SHARED_BY_NETWORKS.items():
        domain = as_domain(getattr(held.spec.training, name))
        if isinstance(held.spec.strategy, OneShotSettings) and domain.size > 1:
            message = (
                f"{held.spec.strategy.name} trains all networks by one {what}, so that {name} has "
                f"one value, got {shown(list(domain.values()))}"
            )
            yield problem(message, "training", name)


@_about("memory", "objectives")
def _a_memory_ranks_by_one_objective(held: Held) -> Iterator[SpecProblem]:
    if held.spec.memory and (count := len(held.spec.objectives)) > 1:
        yield problem(f"earlier searches rank by one objective, got {count}", "memory")


@_about("memory", "strategy")
def _a_memory_is_of_single_networks(held: Held) -> Iterator[SpecProblem]:
    strategy = held.spec.strategy
    if held.spec.memory and isinstance(strategy, OneShotSettings):
        message = f"{strategy.name} trains all networks at once, and has no use for earlier ones"
        yield problem(message, "memory")


@_about("fidelity", "objectives")
def _trials_are_compared_by_one_objective(held: Held) -> Iterator[SpecProblem]:
    name, count = held.spec.fidelity.name, len(held.spec.objectives)
    if fidelities[name].listens and count > 1:
        yield problem(f"{name} compares trials by one objective, got {count}", "fidelity")


@_about("fidelity", "training", "space")
def _some_trial_can_be_stopped(held: Held) -> Iterator[SpecProblem]:
    settings, epochs = held.spec.fidelity, held.spec.max_epochs
    if held.source is None or not fidelities[settings.name].listens:
        return
    if not fidelities[settings.name](settings, Objective(metric="any"), epochs).rungs:
        message = (
            f"{settings.name} would stop no trial: the longest has {epochs} epochs, "
            f"got {settings.grace_epochs}"  # type: ignore[attr-defined]  # it listens
        )
        yield problem(message, "fidelity", "grace_epochs")


def _unknown_metrics(
    field: str, items: Sequence[Objective | Constraint], source: Source | None
) -> Iterator[SpecProblem]:
    for index, item in enumerate(items):
        if source is not None and item.metric not in source.metrics:
            message = f"unknown metric {shown(item.metric)}, known are {', '.join(source.metrics)}"
            yield problem(message, field, index, "metric")


def _impossible_limits(limit: Constraint, index: int) -> Iterator[SpecProblem]:
    name = limit.metric.removeprefix("val_")
    if name in UNBOUNDED_METRICS:
        if limit.min is not None and limit.min > 1:
            message = f"{limit.metric} is at most 1, got {limit.min}"
            yield problem(message, "constraints", index, "min")
        return
    in_unit = name in UNIT_METRICS
    if limit.max is not None and limit.max < 0:
        yield problem(
            f"{limit.metric} is never below 0, got {limit.max}", "constraints", index, "max"
        )
    if limit.min is not None and in_unit and limit.min > 1:
        yield problem(f"{limit.metric} is in 0..1, got {limit.min}", "constraints", index, "min")


def _unfit(known: Preset, task: Task, training: TrainingSettings) -> str | None:
    """Why a preset is no network for the task, or for the recipe."""
    family = known.architecture.family
    tasks = families[family].tasks
    if task.form not in tasks:
        return f"it is for {', '.join(sorted(tasks))}, the task here is {task.name}"
    if refusal := pretraining_refusal(family, training, task):
        return refusal
    try:
        cost(known.architecture, task, known.recipe_for(task))
    except InfeasibleError as error:
        return str(error)
    return None
