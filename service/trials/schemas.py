"""A trial as clients see it, and the best of a search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.tables import Epoch, Trial

KindFilter = Literal["candidate", "supernet", "final", "baseline"]
TrialStateFilter = Literal["running", "completed", "pruned", "failed", "cached"]


class ArchitectureRead(BaseModel):
    family: str
    decisions: dict[str, bool | int | float | str]


class FailureRead(BaseModel):
    kind: str = Field(description="what kind of failure, one of a few words")
    message: str


class CurvePoint(BaseModel):
    epoch: int = Field(ge=0)
    metrics: dict[str, float | None] = Field(description="after this epoch; null: not finite")


class TrialRead(BaseModel):
    number: int = Field(description="counts from 0 in the order of asking", ge=0)
    kind: KindFilter
    state: TrialStateFilter
    architecture: ArchitectureRead | None = Field(description="null for a supernet")
    architecture_key: str = Field(description="the same for isomorphic architectures")
    recipe: dict[str, Any] | None = Field(description="how it is trained; null for a supernet")
    metrics: dict[str, float] = Field(description="its result; empty without one")
    curve: list[CurvePoint] = Field(description="one point an epoch")
    seconds: float = Field(description="wall seconds of training", ge=0)
    worker: str | None
    failure: FailureRead | None
    source: int | None = Field(
        description="the trial that answered a cached one, or the candidate of a final one"
    )
    seed: int
    attempts: int = Field(description="how often it was started", ge=0)
    started_at: datetime
    ended_at: datetime | None
    bundle: str | None = Field(description="path of its bundle, if it has one")

    @classmethod
    def of(cls, row: Trial, curve: Sequence[Epoch], has_bundle: bool) -> TrialRead:
        path = f"/v1/searches/{row.search_id}/trials/{row.number}/bundle"
        return cls.model_validate(
            {
                "number": row.number,
                "kind": row.kind,
                "state": row.state,
                "architecture": row.proposal.get("architecture"),
                "architecture_key": row.architecture_key,
                "recipe": row.proposal.get("recipe"),
                "metrics": row.metrics,
                "curve": [{"epoch": point.epoch, "metrics": point.metrics} for point in curve],
                "seconds": row.seconds,
                "worker": row.worker,
                "failure": row.failure,
                "source": row.source,
                "seed": row.seed,
                "attempts": row.attempts,
                "started_at": row.started_at,
                "ended_at": row.ended_at,
                "bundle": path if has_bundle else None,
            }
        )


class TrialPage(BaseModel):
    items: list[TrialRead]
    next_page_token: str | None = Field(description="of the next page; null: this is the last one")


class Spread(BaseModel):
    """Of one metric over the seeds of the final stage."""

    mean: float
    std: float = Field(description="sample standard deviation, 0 for one seed", ge=0)
    seeds: int = Field(ge=1)


class BestItem(BaseModel):
    trial: int = Field(description="number of the candidate", ge=0)
    architecture: ArchitectureRead
    search_metrics: dict[str, float] = Field(description="as the strategy saw them")
    final_metrics: dict[str, Spread] | None = Field(
        description="after retraining, test metrics included; null before that"
    )
    bundle: str | None = Field(description="path of the trained model; null before it is published")


class BestRead(BaseModel):
    items: list[BestItem] = Field(
        description="the winner first; the Pareto set when there are several objectives; empty "
        "before the first trial has completed"
    )
