"""A dataset as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from models.remarks import Kind, Role
from service.sql.dataset_facts import baseline_of
from service.sql.states import DatasetState
from service.sql.tables import Dataset, Upload

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class GraphRead(BaseModel):
    """How large a graph is; of many graphs their mean, rounded up."""

    nodes: int = Field(description="of the graph")
    edges: int = Field(description="an undirected edge counts twice")
    entries: int | None = Field(None, description="features that are not zero; null: stored dense")


class ColumnRead(BaseModel):
    """A column of a table, a series or a file of texts."""

    name: str
    kind: Kind
    role: Role
    missing: int = Field(description="cells without a value", ge=0)
    distinct: int = Field(description="different values", ge=0)
    example: str | None = Field(None, description="a cell, as it is written")
    note: str | None = Field(None, description="why it is left out, or how it is read")


class DatasetWarning(BaseModel):
    """Something that was guessed, left out, filled or mended when the file was read."""

    code: str = Field(description="stable, for programs")
    message: str = Field(description="for people")
    where: str | None = Field(None, description="a column, row, entry, array or class")
    count: int | None = Field(None, description="how often", ge=0)


class DatasetRead(BaseModel):
    """`source` tells the own datasets from those that every tenant can name; of the latter the
    fields from `format` on are null.
    """

    name: str = Field(description="as it is written in a search", max_length=100)
    task: str
    source: Literal["uploaded", "named"]
    description: str
    state: DatasetState = Field(
        DatasetState.READY, description="searches can name one that is ready"
    )
    reason: str | None = Field(None, description="why the file could not be read")
    format: str | None = Field(None, description="of the file that was uploaded")
    options: dict[str, Any] | None = Field(None, description="as they were given")
    input_shape: list[int] | None = Field(None, description="of a sample; null: a table of results")
    outputs: int | None = Field(None, description="classes, labels, or values of a regression")
    vocabulary: int | None = Field(None, description="token ids, of a text task")
    graph: GraphRead | None = Field(None, description="its size, of a graph task")
    targets: list[int] | None = Field(None, description="columns that are forecast; null: unknown")
    classes: list[str | int] | None = Field(
        None, description="or labels; the first 1,000, in order"
    )
    samples: dict[str, int] | None = Field(None, description="by split; of a table its rows")
    columns: list[ColumnRead] | None = Field(
        None, description="of the file, in its order; null: it has none"
    )
    warnings: list[DatasetWarning] | None = Field(
        None, description="everything that was guessed, left out or mended; null: unknown"
    )
    baseline: dict[str, float] | None = Field(
        None, description="what knows nothing of the inputs scores on validation; null: unknown"
    )
    fingerprint: str | None = Field(None, description="SHA-256 of the content and its split")
    sha256: str | None = Field(None, description="of the file that was uploaded")
    size_bytes: int | None = Field(None, description="stored", ge=0)
    created_at: datetime | None = None

    @classmethod
    def of(cls, row: Dataset | Upload) -> DatasetRead:
        return cls._of_upload(row) if isinstance(row, Upload) else cls._of_dataset(row)

    @classmethod
    def _of_upload(cls, row: Upload) -> DatasetRead:
        is_read = row.reason is None
        return cls(
            name=row.name,
            task=row.task,
            source="uploaded",
            description=f"a file of {row.size_bytes:,} bytes, "
            + ("which is being read" if is_read else "which could not be read"),
            state=DatasetState.READING if is_read else DatasetState.FAILED,
            reason=row.reason,
            options=row.options,
            sha256=row.source_sha256,
            created_at=row.created_at,
        )

    @classmethod
    def _of_dataset(cls, row: Dataset) -> DatasetRead:
        task = row.facts["task"] or {}
        samples: dict[str, int] = row.facts["samples"]
        return cls(
            name=row.name,
            task=row.task,
            source="uploaded",
            description=f"{sum(samples.values()):,} {'rows' if 'rows' in samples else 'samples'}, "
            f"uploaded as {row.format.replace('_', ' ')}",
            format=row.format,
            options=row.options,
            input_shape=task.get("input_shape"),
            outputs=task.get("outputs"),
            vocabulary=task.get("vocabulary"),
            graph=task.get("graph"),
            targets=task.get("targets"),
            classes=row.facts.get("classes"),
            samples=samples,
            columns=row.facts.get("columns") or None,
            warnings=row.facts.get("warnings"),
            baseline=baseline_of(row.facts),
            fingerprint=row.fingerprint,
            sha256=row.source_sha256,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )


class DatasetPage(BaseModel):
    items: list[DatasetRead]
    next_page_token: str | None = Field(description="of the next page; null: this is the last one")
