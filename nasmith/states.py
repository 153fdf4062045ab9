"""The states of searches and datasets, as the server names them."""

from __future__ import annotations

from enum import StrEnum


class SearchState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DatasetState(StrEnum):
    READING = "reading"
    READY = "ready"
    FAILED = "failed"


ENDED = frozenset({SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED})
