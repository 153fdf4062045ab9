"""The right to write a search: a lease that expires, and the token that fences late writers off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, update
from sqlalchemy.orm import Session

from search.engine.journal import StaleOwnerError
from service.sql.states import SearchState
from service.sql.tables import Search


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of a search. `token` grows by one at each claim of that search."""

    search_id: str
    token: int
    owner: str


def holds(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The conditions on the search's row under which its owner may write."""
    return (
        Search.id == claim.search_id,
        Search.lease_token == claim.token,
        Search.lease_owner == claim.owner,
        Search.state == SearchState.RUNNING,
    )


def change(session: Session, claim: Claim, events: int, **values: Any) -> Row[int, str, str | None]:
    """Change the search's row if the claim still holds, and draw numbers for `events` events.

    It is the first statement of every transaction of an owner: it locks the row, so that nobody
    takes the search over before the transaction ends.

    Returns:
        (event_sequence after the change, tenant_id, requested)

    Raises:
        search.engine.journal.StaleOwnerError: the search was released, ended or claimed by another.
    """
    values["event_sequence"] = Search.event_sequence + events
    if events:
        values["revision"] = Search.revision + 1
    row = session.execute(
        update(Search)
        .where(*holds(claim))
        .values(**values)
        .returning(Search.event_sequence, Search.tenant_id, Search.requested)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise StaleOwnerError(f"{claim} no longer holds")
    return row
