"""The catalog, read from the registries: an entry appears by being registered.

What this needs of `models` and `search` imports torch: it is imported when it is first used.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

from service.api.catalog.schemas import (
    BrokenEntry,
    Catalog,
    DatasetEntry,
    Entry,
    ExporterEntry,
    FamilyEntry,
    FidelityEntry,
    MetricEntry,
    OperationEntry,
    PresetEntry,
    ProvidedBy,
    ProxyEntry,
    StrategyEntry,
    TaskEntry,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from models.plugins import Source


@lru_cache(1)
def catalog() -> Catalog:
    """Everything that is registered; it does not change while a process lives."""
    from models.datasets import datasets
    from models.datasets.tables import SCORES
    from models.exporters import exporters
    from models.family import families
    from models.operations import operations
    from models.presets import presets
    from models.proxies import proxies
    from models.recipe import OptimizerName, TrainingSettings
    from models.task import served
    from models.training.defaults import default_recipe
    from models.training.metrics import default_metric, scores
    from search.fidelity import fidelities
    from search.plugins import pluggable
    from search.spaces import TABLE, spaces
    from search.strategy import strategies

    return Catalog(
        families=[
            FamilyEntry(
                name=name,
                description=_summary(entry.Settings),
                tasks=sorted(served(entry.tasks)),
                settings=_schema(entry.Settings, "family"),
                provided_by=_provided(families.source(name)),
            )
            for name, entry in spaces.items()
        ],
        operations=[
            OperationEntry(
                name=name,
                description=_summary(entry.module) if entry.module else "the output is zero",
                topologies=list(entry.topologies),
                provided_by=_provided(operations.source(name)),
            )
            for name, entry in operations.items()
        ],
        strategies=[
            StrategyEntry(
                name=name,
                description=_summary(entry),
                objectives=entry.objectives,
                settings=_schema(entry.Settings, "name"),
                provided_by=_provided(strategies.source(name)),
            )
            for name, entry in strategies.items()
        ],
        proxies=[
            ProxyEntry(name=name, description=_summary(entry)) for name, entry in proxies.items()
        ],
        fidelities=[
            FidelityEntry(
                name=name,
                description=_summary(entry),
                settings=_schema(entry.Settings, "name"),
                provided_by=_provided(fidelities.source(name)),
            )
            for name, entry in fidelities.items()
        ],
        optimizers=[Entry(name=name) for name in get_args(OptimizerName)],
        training=_schema(TrainingSettings),
        presets=[
            PresetEntry(
                name=name,
                description=entry.description,
                family=entry.architecture.family,
                architecture=entry.architecture.to_json(),
                recipe=dict(entry.recipe),
            )
            for name, entry in presets().items()
        ],
        datasets=[
            DatasetEntry(
                name=name,
                task=entry.task_name,
                description=entry.description,
                provided_by=_provided(datasets.source(name)),
            )
            for name, entry in datasets.items()
        ],
        exporters=[
            ExporterEntry(
                name=name,
                description=entry.card,
                files=list(entry.files),
                provided_by=_provided(exporters.source(name)),
            )
            for name, entry in exporters.items()
        ],
        tasks=[
            TaskEntry(
                name=name,
                metrics=[f"val_{metric}" for metric in score.goals],
                default_metric=f"val_{default_metric(name)[0]}",
                training=default_recipe(name).model_dump(mode="json"),
            )
            for name, score in scores.items()
        ]
        + [TaskEntry(name=TABLE, metrics=[SCORES[0]], default_metric=SCORES[0], training={})],
        metrics=_metrics(),
        broken=[
            BrokenEntry(
                name=found.name,
                group=found.group,
                reason=found.reason,
                provided_by=_provided(found.source),
            )
            for registry in pluggable()
            for found in registry.broken
        ],
    )


def _provided(source: Source) -> ProvidedBy:
    return ProvidedBy(distribution=source.distribution, version=source.version)


def _metrics() -> list[MetricEntry]:
    from models.datasets.tables import SCORES
    from models.training.metrics import scores
    from search.objectives import COST_METRICS, MEASURED_METRICS

    goals = {metric: goal for score in scores.values() for metric, goal in score.goals.items()}
    found = [MetricEntry(name=f"val_{name}", goal=goal) for name, goal in sorted(goals.items())]
    found += [MetricEntry(name=f"test_{name}", goal=goal) for name, goal in sorted(goals.items())]
    found += [MetricEntry(name=name, goal="maximize") for name in SCORES]
    return found + [
        MetricEntry(name=name, goal="minimize") for name in (*COST_METRICS, *MEASURED_METRICS)
    ]


def _schema(settings: type[BaseModel], discriminator: str | None = None) -> dict[str, Any]:
    """The JSON Schema of what a request may set beside the entry's name."""
    schema = settings.model_json_schema()
    schema.get("properties", {}).pop(discriminator, None)
    return schema


def _summary(entry: object) -> str:
    """The first paragraph of a docstring, else the first line of its module's."""
    text = inspect.getdoc(entry) if inspect.isclass(entry) or inspect.isfunction(entry) else None
    if not text:
        text = inspect.getdoc(inspect.getmodule(entry)) or ""
    return " ".join(text.split("\n\n")[0].split())
