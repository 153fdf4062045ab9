"""A request is held to its rules: each field by itself, then those that are valid to one another
and to the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from models.cost import cost
from models.family import InfeasibleError, families
from models.presets import Preset, presets
from models.settings import Settings
from models.supernets import supernets
from models.task import Task
from search.fidelity import fidelities
from search.objectives import Constraint, Objective
from search.problems import Explainer, SpecError, SpecProblem, problem, shown
from search.request.pretraining import pretraining_refusal
from search.strategy import strategies
from search.weight_sharing.inheritance import refusals
from search.weight_sharing.one_shot import OneShotSettings

MAX_FINAL_TRIALS = 1000

UNIT_METRICS = ("accuracy", "f1", "auc")
"""Metrics in 0..1; all others are at least 0."""


def validated(
    model: type[Settings], body: object, searchable: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[SpecProblem]]:
    """The valid fields of a body, defaults included, and the problems of the others.

    `searchable`: the fields whose scalars may be domains.

    Raises:
        SpecError: the body is no object.
    """
    if not isinstance(body, dict) or not all(isinstance(name, str) for name in body):
        raise SpecError([problem(f"the body must be an object, got {shown(body)}")])
    try:
        valid = model.model_validate(body)
    except ValidationError as error:
        problems = list(Explainer(model, searchable).problems(error))
        broken = {details["loc"][0] for details in error.errors() if details["loc"]}
        fields = {
            name: _adapter(model, name).validate_python(
                body[name] if name in body else field.get_default(call_default_factory=True)
            )
            for name, field in model.model_fields.items()
            if name not in broken
        }
        return fields, problems
    return {name: getattr(valid, name) for name in model.model_fields}, []


@cache
def _adapter(model: type[Settings], name: str) -> TypeAdapter[Any]:
    """One field alone, with its own rules."""
    field = model.model_fields[name]
    form: Any = Annotated[field.annotation, field]
    return TypeAdapter(form)


def metric_problems(fields: Mapping[str, Any], known: Sequence[str]) -> Iterator[SpecProblem]:
    """Of objectives and constraints, whose metrics are among the `known` ones."""
    for field in ("objectives", "constraints"):
        for index, item in enumerate(fields.get(field, ())):
            if item.metric not in known:
                message = f"unknown metric {shown(item.metric)}, known are {', '.join(known)}"
                yield problem(message, field, index, "metric")
            elif isinstance(item, Constraint):
                yield from _impossible_limits(item, index)


def objective_problems(fields: Mapping[str, Any]) -> Iterator[SpecProblem]:
    """Objectives are distinct, and no more than the strategy takes."""
    objectives: Sequence[Objective] = fields.get("objectives", ())
    seen: set[str] = set()
    for index, objective in enumerate(objectives):
        if objective.metric in seen:
            message = f"each objective names another metric, got {shown(objective.metric)} again"
            yield problem(message, "objectives", index, "metric")
        seen.add(objective.metric)
    if "strategy" not in fields:
        return
    name = fields["strategy"].name
    if len(objectives) > strategies[name].objectives:
        able = [n for n, entry in strategies.items() if entry.objectives >= len(objectives)]
        message = (
            f"{name} optimises {strategies[name].objectives} objective, got {len(objectives)}; "
            f"strategies for so many are {', '.join(able)}"
        )
        yield problem(message, "objectives")


def final_problems(fields: Mapping[str, Any]) -> Iterator[SpecProblem]:
    final = fields.get("final")
    if final is not None and final.top * final.seeds > MAX_FINAL_TRIALS:
        message = (
            f"top x seeds must not exceed {MAX_FINAL_TRIALS} trainings, "
            f"got {final.top} x {final.seeds}"
        )
        yield problem(message, "final")


def preset_problems(fields: Mapping[str, Any], task: Task | None) -> Iterator[SpecProblem]:
    """The presets to compare with are networks for the task. `task`: None where it is unknown."""
    names: Sequence[str] = fields.get("baselines", ())
    training = fields.get("training")
    for index, name in enumerate(names):
        if name not in presets():
            message = f"unknown preset {shown(name)}, known are {', '.join(presets())}"
        elif name in names[:index]:
            message = f"each preset is listed once, got {shown(name)} again"
        elif task is not None and (reason := _unfit(presets()[name], task, training)):
            message = f"{name} cannot be trained on this dataset: {reason}"
        else:
            continue
        yield problem(message, "baselines", index)


def sharing_problems(fields: Mapping[str, Any], task: Task | None) -> Iterator[SpecProblem]:
    """The networks of the space can share weights, where the strategy has them do it.

    `task`: None where the space is none for it.
    """
    strategy, space = fields.get("strategy"), fields.get("space")
    if not isinstance(strategy, OneShotSettings) or space is None:
        return
    if space.family not in supernets:
        message = (
            f"{strategy.name} shares weights between networks of {', '.join(supernets)}, "
            f"the space here is {space.family}"
        )
        yield problem(message, "strategy", "name")
        return
    yield from refusals(strategy, fields.get("training"))
    try:
        supernets[space.family].check(space, partial=strategy.channel_divisor, task=task)
    except InfeasibleError as error:
        yield problem(str(error), "space", error.field)


def fidelity_problems(fields: Mapping[str, Any], epochs: int | None) -> Iterator[SpecProblem]:
    """`epochs`: of the longest trial; None where the space is refused."""
    settings, objectives = fields.get("fidelity"), fields.get("objectives", ())
    if settings is None or not fidelities[settings.name].listens:
        return
    if len(objectives) > 1:
        message = f"{settings.name} compares trials by one objective, got {len(objectives)}"
        yield problem(message, "fidelity")
    if epochs and not fidelities[settings.name](settings, Objective(metric="any"), epochs).rungs:
        message = (
            f"{settings.name} would stop no trial: the longest has {epochs} epochs, "
            f"got {settings.grace_epochs}"
        )
        yield problem(message, "fidelity", "grace_epochs")


def _impossible_limits(limit: Constraint, index: int) -> Iterator[SpecProblem]:
    in_unit = limit.metric.removeprefix("val_") in UNIT_METRICS
    if limit.max is not None and limit.max < 0:
        yield problem(
            f"{limit.metric} is never below 0, got {limit.max}", "constraints", index, "max"
        )
    if limit.min is not None and in_unit and limit.min > 1:
        yield problem(f"{limit.metric} is in 0..1, got {limit.min}", "constraints", index, "min")


def _unfit(known: Preset, task: Task, training: Settings | None) -> str | None:
    """Why a preset is no network for the task, or for the recipe."""
    family = known.architecture.family
    tasks = families[family].tasks
    if task.name not in tasks:
        return f"it is for {', '.join(sorted(tasks))}, the task here is {task.name}"
    if training is not None and (refusal := pretraining_refusal(family, training, task)):
        return refusal
    try:
        cost(known.architecture, task, known.recipe_for(task))
    except InfeasibleError as error:
        return str(error)
    return None
