"""What a client may ask of a search, by the state that it is in. All are idempotent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from service.refusals import ConflictError
from service.sql.events import append_event
from service.sql.searches import spec_columns
from service.sql.states import ENDED, SearchState
from service.sql.tables import Search
from service.sql.transitions import change_state

if TYPE_CHECKING:
    from search.spec import SearchSpec

_ACTIVE = tuple(state.value for state in SearchState if state not in ENDED)


def cancel(session: Session, search: Search) -> None:
    """A search that does not run is cancelled at once; a running one is asked to end.

    Raises:
        ConflictError: it has succeeded or failed.
    """
    if search.state == SearchState.CANCELLED:
        return
    if search.state == SearchState.RUNNING:
        _request(session, search, "cancel")
    elif search.state in ENDED:
        raise _conflict(search, SearchState.CANCELLED, (*_ACTIVE, SearchState.CANCELLED.value))
    else:
        change_state(session, search.id, SearchState.CANCELLED)


def pause(session: Session, search: Search) -> None:
    """A queued search leaves the queue at once; a running one is asked to stop starting trials.

    Raises:
        ConflictError: it has ended, or is about to be cancelled.
    """
    if search.state in ENDED:
        raise _conflict(search, SearchState.PAUSED, _ACTIVE)
    if search.requested == "cancel":
        raise ConflictError("the search is being cancelled", state=search.state, allowed=_ACTIVE)
    if search.state == SearchState.RUNNING:
        _request(session, search, "pause")
    elif search.state == SearchState.QUEUED:
        change_state(session, search.id, SearchState.PAUSED)


def resume(session: Session, search: Search) -> None:
    """A paused search goes back to the queue; a pause that is only requested is taken back.

    Raises:
        ConflictError: it has ended, or is about to be cancelled.
    """
    if search.state in ENDED:
        raise _conflict(search, "resumed", _ACTIVE)
    if search.requested == "cancel":
        raise ConflictError("the search is being cancelled", state=search.state, allowed=_ACTIVE)
    if search.state == SearchState.PAUSED:
        change_state(session, search.id, SearchState.QUEUED)
    elif search.requested is not None:
        _request(session, search, None)


def update(session: Session, search: Search, before: SearchSpec, spec: SearchSpec) -> None:
    """Give an active search a changed name or budget; its driver sees it within a second.
    `before`: the spec that it has.

    Raises:
        ConflictError: it has ended.
    """
    if search.state in ENDED:
        raise _conflict(search, "changed", _ACTIVE)
    old, new = before.to_json(), spec.to_json()
    changed = {key: value for key, value in new.items() if old[key] != value}
    if changed:
        for column, value in spec_columns(spec).items():
            setattr(search, column, value)
        append_event(session, search, "search.updated", changed)


def require_ended(search: Search) -> None:
    """
    Raises:
        ConflictError: it has not ended.
    """
    if search.state not in ENDED:
        raise _conflict(search, "deleted", tuple(state.value for state in ENDED))


def _request(session: Session, search: Search, action: str | None) -> None:
    if search.requested != action and search.requested != "cancel":
        search.requested = action
        append_event(session, search, "search.updated", {"requested": action})


def _conflict(search: Search, done: str, allowed: tuple[str, ...]) -> ConflictError:
    return ConflictError(
        f"the search is {search.state} and cannot be {done}; it could be while it is "
        + " or ".join(sorted(allowed)),
        state=search.state,
        allowed=allowed,
    )
