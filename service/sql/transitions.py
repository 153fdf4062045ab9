"""The one way in which a search comes into another state, whoever puts it there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from search.engine.journal import StaleOwnerError
from service.sql.clock import database_time
from service.sql.events import STATE_EVENTS, event
from service.sql.lease import Claim, holds
from service.sql.states import ENDED, NEXT, IllegalStateError, SearchState
from service.sql.tables import Search
from service.sql.webhooks import announce


def change_state(
    session: Session,
    search_id: str,
    state: SearchState,
    reason: str | None = None,
    claim: Claim | None = None,
    **values: Any,
) -> tuple[int, str]:
    """Put a search into `state`, with its times and its event, in one statement that changes
    nothing unless `state` follows the present one and the claim, if one is named, holds.

    A search that does not run has no owner, and what was requested of it is done or void.
    `values`: further columns.

    Returns:
        (lease_token, tenant_id) after the change

    Raises:
        IllegalStateError: `state` does not follow the present one.
        search.engine.journal.StaleOwnerError: the search was released, ended or claimed by another.
    """
    if state in ENDED:
        values["ended_at"] = database_time()
    if state is SearchState.RUNNING:
        values["started_at"] = func.coalesce(Search.started_at, database_time())
    else:
        values |= {"requested": None, "lease_owner": None, "lease_expires_at": None}
    before = [known for known in SearchState if state in NEXT[known]]
    row = session.execute(
        update(Search)
        .where(Search.id == search_id, Search.state.in_(before), *(holds(claim) if claim else ()))
        .values(
            state=state,
            state_reason=reason,
            revision=Search.revision + 1,
            event_sequence=Search.event_sequence + 1,
            **values,
        )
        .returning(Search.lease_token, Search.tenant_id, Search.event_sequence)
    ).one_or_none()
    if row is None:
        if claim is not None:
            raise StaleOwnerError(f"{claim} no longer holds")
        raise IllegalStateError(_state_of(session, search_id), state)
    data: dict[str, Any] = {"state": state.value, "reason": reason}
    if state is SearchState.RUNNING:
        data["claim"] = row.lease_token
    session.add(event(search_id, row.tenant_id, row.event_sequence, STATE_EVENTS[state], data))
    if state in ENDED:
        announce(session, search_id, row.tenant_id, state, reason)
    return row.lease_token, row.tenant_id


def _state_of(session: Session, search_id: str) -> str:
    return session.scalar(select(Search.state).where(Search.id == search_id)) or "deleted"
