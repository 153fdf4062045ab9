"""The states of a search, and which follows which; those of a dataset, and of what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class SearchState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DatasetState(StrEnum):
    """`reading` and `failed` are those of its upload; a dataset itself is ready."""

    READING = "reading"
    READY = "ready"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """Of what is sent to a webhook; `dead` was tried for the last time."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


ENDED = frozenset({SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED})

NEXT: Mapping[SearchState, frozenset[SearchState]] = {
    SearchState.QUEUED: frozenset({SearchState.RUNNING, SearchState.PAUSED, SearchState.CANCELLED}),
    SearchState.RUNNING: ENDED
    | {SearchState.PAUSED, SearchState.RUNNING},  # the latter with its next owner
    SearchState.PAUSED: frozenset({SearchState.QUEUED, SearchState.CANCELLED}),
    SearchState.SUCCEEDED: frozenset(),
    SearchState.FAILED: frozenset(),
    SearchState.CANCELLED: frozenset(),
}


class IllegalStateError(ValueError):
    """The search is in a state from which this cannot be done."""

    def __init__(self, state: str, wanted: str) -> None:
        super().__init__(f"a {state} search cannot become {wanted}")
        self.state, self.wanted = state, wanted
