"""The states of a search, and which follows which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from service.sql.events import STATE_EVENTS, append_event
from service.sql.tables import Search


class SearchState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED})

NEXT: Mapping[SearchState, frozenset[SearchState]] = {
    SearchState.QUEUED: frozenset(
        {SearchState.RUNNING, SearchState.PAUSED, SearchState.CANCELLED, SearchState.FAILED}
    ),
    SearchState.RUNNING: ENDED | {SearchState.PAUSED, SearchState.QUEUED},
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


def change_state(
    session: Session, search: Search, state: SearchState, reason: str | None = None
) -> None:
    """Put a locked search into `state`, with its times and its event. What was requested of it is
    done or void then.

    Raises:
        IllegalStateError: `state` does not follow the present one.
    """
    if state not in NEXT[SearchState(search.state)]:
        raise IllegalStateError(search.state, state)
    now = datetime.now(UTC)
    search.state, search.state_reason, search.requested = state.value, reason, None
    if state is SearchState.RUNNING and search.started_at is None:
        search.started_at = now
    if state in ENDED:
        search.ended_at = now
    append_event(session, search, STATE_EVENTS[state], {"state": state.value, "reason": reason})
