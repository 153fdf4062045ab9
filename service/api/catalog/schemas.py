"""The catalog as clients see it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

JsonSchema = dict[str, Any]


class Entry(BaseModel):
    name: str = Field(description="as it is written in a request")


class FamilyEntry(Entry):
    description: str
    tasks: list[str]
    settings: JsonSchema = Field(description="JSON Schema of the fields of `space`")


class OperationEntry(Entry):
    description: str
    topologies: list[str]


class StrategyEntry(Entry):
    description: str
    objectives: int = Field(description="the largest number of objectives that it optimises", ge=1)
    settings: JsonSchema = Field(description="JSON Schema of the fields of `strategy`")


class ProxyEntry(Entry):
    description: str


class FidelityEntry(Entry):
    description: str
    settings: JsonSchema = Field(description="JSON Schema of the fields of `fidelity`")


class DatasetEntry(Entry):
    task: str
    description: str


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
    tasks: list[TaskEntry]
    metrics: list[MetricEntry]
