"""The catalog as clients see it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

JsonSchema = dict[str, Any]


class Entry(BaseModel):
    name: str = Field(description="as it is written in a request")


class ProvidedBy(BaseModel):
    """The installed distribution that an entry comes from."""

    distribution: str
    version: str


class PluggableEntry(Entry):
    """An entry of a kind that other distributions can add to."""

    provided_by: ProvidedBy


class BrokenEntry(PluggableEntry):
    """What an installed distribution tried to add, and cannot be used."""

    group: str = Field(description="the entry-point group, like nasmith.strategies")
    reason: str


class FamilyEntry(PluggableEntry):
    description: str
    tasks: list[str]
    settings: JsonSchema = Field(description="JSON Schema of the fields of `space`")


class OperationEntry(PluggableEntry):
    description: str
    topologies: list[str]


class StrategyEntry(PluggableEntry):
    description: str
    objectives: int = Field(description="the largest number of objectives that it optimises", ge=1)
    settings: JsonSchema = Field(description="JSON Schema of the fields of `strategy`")


class ProxyEntry(Entry):
    description: str


class FidelityEntry(PluggableEntry):
    description: str
    settings: JsonSchema = Field(description="JSON Schema of the fields of `fidelity`")


class DatasetEntry(PluggableEntry):
    task: str
    description: str


class ExporterEntry(PluggableEntry):
    description: str = Field(description="what its files are for")
    files: list[str] = Field(description="what it writes into a bundle")


class TaskEntry(Entry):
    metrics: list[str] = Field(description="possible objectives, beside cost and measured metrics")
    default_metric: str
    training: dict[str, Any] = Field(description="the recipe where a request leaves it open")


class MetricEntry(Entry):
    goal: Literal["maximize", "minimize"]


class PresetEntry(Entry):
    description: str
    family: str
    architecture: dict[str, Any]
    recipe: dict[str, Any] = Field(description="where it differs from the recipe of the task")


class Catalog(BaseModel):
    families: list[FamilyEntry]
    operations: list[OperationEntry]
    strategies: list[StrategyEntry]
    proxies: list[ProxyEntry]
    fidelities: list[FidelityEntry] = Field(description="which trials are stopped early")
    optimizers: list[Entry]
    training: JsonSchema = Field(description="JSON Schema of the fields of `training`")
    presets: list[PresetEntry]
    datasets: list[DatasetEntry]
    exporters: list[ExporterEntry] = Field(description="what writes the files of a bundle")
    tasks: list[TaskEntry]
    metrics: list[MetricEntry]
    broken: list[BrokenEntry] = Field(description="left out, though an installed plug-in names it")
