"""The data of events as clients see them, and the events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from search.trial import TrialState
from service.api.memory.schemas import RememberedSearch
from service.api.trials.schemas import ArchitectureRead, FailureRead, KindName
from service.sql.events import STATE_EVENTS, EventType
from service.sql.states import SearchState


class EventData(BaseModel):
    created_at: datetime


class SearchStateData(EventData):
    """The search is in another state."""

    state: SearchState
    reason: str | None = Field(None, description="why, where there is something to say")


class SearchRunningData(SearchStateData):
    """A driver has begun with the search, or goes on with it."""

    claim: int = Field(description="counts the drivers of the search", ge=1)


class SearchInterruptedData(EventData):
    """The driver of the search has ended; another one goes on."""

    cause: str
    blamed: bool = Field(description="on the search itself; after a few of these it has failed")


class SearchWaitingData(EventData):
    """The driver of the search waits for something, as for a worker that says nothing."""

    reason: str | None = Field(description="also its `state_reason`; null: it goes on")


class SearchUpdatedData(EventData):
    """A client asked for something, or changed what is here."""

    requested: Literal["cancel", "pause"] | None = Field(
        None, description="is about to be done; null: was taken back, if nothing else is here"
    )
    name: str | None = None
    budget: dict[str, Any] | None = Field(None, description="as a request writes it")
    resources: dict[str, Any] | None = Field(None, description="as a request writes them")


class MemoryReadData(EventData):
    """What the search remembers of earlier ones has been written down with it."""

    searches: list[RememberedSearch]


class TrialStartedData(EventData):
    number: int = Field(ge=0)
    kind: KindName
    state: TrialState
    architecture_key: str
    source: int | None = Field(description="as that of a trial")
    source_search: str | None = Field(description="as that of a trial")


class TrialEpochData(EventData):
    number: int = Field(ge=0)
    epoch: int = Field(ge=0)
    metrics: dict[str, float | None] = Field(description="after this epoch; null: not finite")
    derived: ArchitectureRead | None = Field(
        None, description="what a supernet would lead to after this epoch"
    )


class TrialPausedData(EventData):
    """The fidelity rule has the trial wait."""

    number: int = Field(ge=0)
    epoch: int = Field(description="after which it waits", ge=0)
    seconds: float = Field(description="of training so far", ge=0)


class TrialResumedData(EventData):
    number: int = Field(ge=0)


class TrialEndedData(TrialStartedData):
    metrics: dict[str, float] = Field(description="its result; empty without one")
    failure: FailureRead | None
    seconds: float = Field(description="wall seconds of training", ge=0)


class BestChangedData(EventData):
    trial: int = Field(description="number of the best trial so far", ge=0)
    metrics: dict[str, float]


class BundlePublishedData(EventData):
    number: int = Field(description="of the final trial whose model it is", ge=0)
    trial: int = Field(description="the candidate that it retrained", ge=0)
    sha256: str
    size_bytes: int = Field(ge=0)


DATA: Mapping[EventType, type[EventData]] = {
    **dict.fromkeys(STATE_EVENTS.values(), SearchStateData),
    "search.running": SearchRunningData,
    "search.waiting": SearchWaitingData,
    "search.interrupted": SearchInterruptedData,
    "search.updated": SearchUpdatedData,
    "memory.read": MemoryReadData,
    "trial.started": TrialStartedData,
    "trial.epoch": TrialEpochData,
    "trial.paused": TrialPausedData,
    "trial.resumed": TrialResumedData,
    "trial.ended": TrialEndedData,
    "best.changed": BestChangedData,
    "bundle.published": BundlePublishedData,
}
"""What each type of event has."""

EVENT = "SearchEvent"
"""The schema of one event of a stream."""


def event_schemas(reference: str) -> dict[str, Any]:
    """Schemas of one event of a stream, by the fields that the HTML standard gives it: `data` is
    text, JSON of the schema of its type. `reference`: of a schema, by `{model}`.
    """
    types: dict[type[EventData], list[EventType]] = {}
    for type_ in get_args(EventType):
        types.setdefault(DATA[type_], []).append(type_)
    schemas = {
        data.__name__.removesuffix("Data") + "Event": {
            "type": "object",
            "description": f"Its `data`, read as JSON, is a `{data.__name__}`.",
            "properties": {
                "id": {"type": "string", "description": "the number of the event, from 1"},
                "event": {"type": "string", "enum": names},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": reference.format(model=data.__name__)},
                },
            },
            "required": ["id", "event", "data"],
        }
        for data, names in types.items()
    }
    whole = {
        "description": "One event of the stream of a search.",
        "oneOf": [{"$ref": reference.format(model=name)} for name in schemas],
    }
    return {**schemas, EVENT: whole}
