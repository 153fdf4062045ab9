"""A search as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from service.api.memory.schemas import RememberedSearch
from service.identifiers import SEARCH_ID_PATTERN
from service.sql.states import SearchState
from service.sql.tables import Search

_REQUESTED = {"cancel": "cancel requested", "pause": "pause requested"}


class Progress(BaseModel):
    trials_done: int = Field(description="trials that cost budget and have ended", ge=0)
    trials_total: int = Field(description="the budget in trials", ge=1)
    baseline_done: int = Field(description="trials of the baseline that have ended", ge=0)
    baseline_total: int = Field(
        description="trials of the baseline, at most; 0: there is no baseline", ge=0
    )
    epochs_done: int = Field(
        description="over all trials, those of the baseline and final ones included", ge=0
    )
    elapsed_seconds: float = Field(description="wall seconds in which it ran", ge=0)
    eta_seconds: float | None = Field(
        description="estimate for the rest of the search stage and of the baseline; null: unknown "
        "or nothing left"
    )


class Best(BaseModel):
    trial: int = Field(description="number of the trial", ge=0)
    metrics: dict[str, float] = Field(description="its search metrics, from validation data")


class Links(BaseModel):
    """Paths on this server."""

    self: str
    trials: str
    events: str
    best: str
    report: str
    bundle: str
    cancel: str
    pause: str
    resume: str


class RequestWarning(BaseModel):
    """What a client should change in a request that was taken."""

    code: str = Field(description="deprecated_word, or one of the dataset")
    message: str
    where: str = Field(description="JSON Pointer into the body of the request")


class SearchRead(BaseModel):
    id: str = Field(pattern=SEARCH_ID_PATTERN)
    name: str
    state: SearchState
    state_reason: str | None = Field(
        description="why it failed, what it waits for, or what was requested and is not done yet"
    )
    progress: Progress
    best: Best | None = Field(description="the best trial so far, by search score")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    spec: dict[str, Any] = Field(description="the request, fully resolved")
    warnings: list[RequestWarning] = Field(description="of the request that was submitted")
    baseline: dict[str, float] | None = Field(
        description="what knows nothing of the inputs scores on validation; null: unknown"
    )
    dataset_fingerprint: str = Field(description="SHA-256 of the data that were searched on")
    links: Links

    @classmethod
    def of(cls, row: Search, root: str) -> SearchRead:
        """`root` stands before the paths of the links."""
        path = f"{root}/v1/searches/{row.id}"
        return cls(
            id=row.id,
            name=row.name,
            state=row.state,
            state_reason=row.state_reason or _REQUESTED.get(row.requested or ""),
            progress=Progress(
                trials_done=row.trials_done,
                trials_total=row.trials_total,
                baseline_done=row.baseline_done,
                baseline_total=row.baseline_total,
                epochs_done=row.epochs_done,
                elapsed_seconds=row.elapsed_seconds,
                eta_seconds=_eta_seconds(row),
            ),
            best=None if row.best is None else Best.model_validate(row.best),
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            spec=row.spec,
            warnings=[RequestWarning.model_validate(found) for found in row.warnings or ()],
            baseline=row.floor,
            dataset_fingerprint=row.dataset_fingerprint,
            links=Links(
                self=path,
                trials=f"{path}/trials",
                events=f"{path}/events",
                best=f"{path}/best",
                report=f"{path}/report",
                bundle=f"{path}/best/bundle",
                cancel=f"{path}/cancel",
                pause=f"{path}/pause",
                resume=f"{path}/resume",
            ),
        )


class SearchPage(BaseModel):
    items: list[SearchRead]
    next_page_token: str | None = Field(description="of the next page; null: this is the last one")


class ExampleNetwork(BaseModel):
    """One network of a space, drawn at random."""

    architecture: dict[str, Any]
    recipe: dict[str, Any]
    parameters: float | None = Field(None, description="null: a table does not say", ge=0)
    flops: float | None = Field(None, description="forward, one sample", ge=0)
    violation: str | None = Field(description="the constraint that it breaks, if any")


class SpaceDryRun(BaseModel):
    """What a space holds."""

    size: float | None = Field(description="number of its points; null: infinite", ge=0)
    examples: list[ExampleNetwork] = Field(max_length=3)


class DryRun(SpaceDryRun):
    """What a request would mean. Nothing is stored."""

    spec: dict[str, Any] = Field(description="the request, fully resolved")
    warnings: list[RequestWarning]
    warm_start_trials: int = Field(description="results of earlier searches to begin with", ge=0)
    memory: list[RememberedSearch] = Field(
        description="earlier searches on other data that the search would remember"
    )
    trials: float = Field(description="trials of the search stage, at most", ge=0)
    baseline_trials: float = Field(description="trials of the baseline, at most", ge=0)
    final_trials: float = Field(description="trainings of the final stage, at most", ge=0)
    epochs: int = Field(description="of all trials together", ge=0)
    steps_per_trial: int | None = Field(
        description="of the optimizer, in each network of a trial of the search stage, the mean "
        "over what the recipe may say; null: nothing is trained",
        ge=1,
    )
    networks_per_trial: int = Field(
        description="that a trial of the search stage trains side by side, one a fold", ge=1
    )
    training_flops: float | None = Field(description="of all trainings together; null: unknown")
    seconds_limit: float | None = Field(description="the time budget of the search stage")
    baseline: dict[str, float] | None = Field(
        description="what knows nothing of the inputs scores on validation; null: unknown"
    )


def _eta_seconds(row: Search) -> float | None:
    """From the pace so far. The search stage never goes beyond the time budget."""
    done = row.trials_done + row.baseline_done
    if row.state != SearchState.RUNNING or row.state_reason is not None:
        return None  # of one that waits, nobody knows
    if not done or row.elapsed_seconds <= 0:
        return None
    pace = row.elapsed_seconds / done
    eta = pace * max(0, row.trials_total - row.trials_done)
    if row.seconds_limit is not None:
        eta = min(eta, max(0.0, row.seconds_limit - row.elapsed_seconds))
    return eta + pace * max(0, row.baseline_total - row.baseline_done)
