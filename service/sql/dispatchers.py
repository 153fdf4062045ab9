"""Which dispatchers are alive, and what they wait for.

Each writes its row every few seconds, by the database's clock. A search that waits says why in its
`state_reason`: that no dispatcher is alive, or what keeps all that are from running it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from service.sql.clock import database_time
from service.sql.database import Sessions
from service.sql.limits import TenantLimits
from service.sql.queue import waiting
from service.sql.states import SearchState
from service.sql.tables import Dispatcher, Search

IsGone = Callable[[str], bool]
"""Whether the process of a name is known to have ended."""

NOBODY = "a dispatcher: none is alive, `nasmith dispatch` starts one"

_KEPT_SECONDS = 3600.0
"""Of a dispatcher on another machine that says nothing any more."""


@dataclass(frozen=True, slots=True)
class Node:
    """What trials may share of a machine; a trial lies on one."""

    cpus: float
    gpus: float

    def holds(self, cpus: float, gpus: float) -> bool:
        """Whether there is room for a trial with so many if nothing else runs."""
        return self.cpus >= cpus and self.gpus >= gpus


@dataclass(frozen=True, slots=True)
class Alive:
    """`obstacle`: what its searches wait for; None where it runs them. `node`: the one that it has;
    None where that is unknown, or others may join.
    """

    owner: str
    seen_at: datetime
    obstacle: str | None
    node: Node | None


class Dispatchers:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def beat(
        self, owner: str, seconds: float, obstacle: str | None, node: Node | None = None
    ) -> None:
        """The owner is alive, and counts as such for so many seconds."""
        values = {
            "seen_at": database_time(),
            "expires_at": database_time(seconds),
            "obstacle": obstacle,
            "cpus": None if node is None else node.cpus,
            "gpus": None if node is None else node.gpus,
        }
        with self._sessions.begin() as session:
            known = session.execute(
                update(Dispatcher)
                .where(Dispatcher.owner == owner)
                .values(**values)
                .returning(Dispatcher.owner)
                .execution_options(synchronize_session=False)
            ).first()
            if known is None:
                session.add(Dispatcher(owner=owner, started_at=database_time(), **values))

    def leave(self, owner: str) -> None:
        with self._sessions.begin() as session:
            session.execute(delete(Dispatcher).where(Dispatcher.owner == owner))

    def alive(self, is_gone: IsGone) -> list[Alive]:
        with self._sessions.read() as session:
            return _alive(session, is_gone)

    def explain(self, is_gone: IsGone, limits: TenantLimits = TenantLimits()) -> None:  # noqa: B008
        """Say in every search that waits what it waits for; nothing where it is only its turn."""
        with self._sessions.read() as session:
            changed = or_(*(changes for changes, _ in _to_say(session, is_gone, limits)))
            if session.scalar(select(Search.id).where(changed).limit(1)) is None:
                return
        with self._sessions.begin() as session:
            for changes, reason in _to_say(session, is_gone, limits):
                session.execute(
                    update(Search)
                    .where(changes)
                    .values(state_reason=reason, revision=Search.revision + 1)
                    .execution_options(synchronize_session=False)
                )

    def sweep(self, is_gone: IsGone) -> None:
        """Forget those that are dead."""
        with self._sessions.read() as session:
            owners = session.scalars(select(Dispatcher.owner)).all()
        gone = [owner for owner in owners if is_gone(owner)]
        with self._sessions.begin() as session:
            session.execute(
                delete(Dispatcher).where(
                    Dispatcher.owner.in_(gone)
                    | (Dispatcher.expires_at < database_time(-_KEPT_SECONDS))
                )
            )


def _alive(session: Session, is_gone: IsGone) -> list[Alive]:
    rows = session.execute(
        select(
            Dispatcher.owner,
            Dispatcher.seen_at,
            Dispatcher.obstacle,
            Dispatcher.cpus,
            Dispatcher.gpus,
        )
        .where(Dispatcher.expires_at >= database_time())
        .order_by(Dispatcher.owner)
    )
    return [
        Alive(owner, seen_at, obstacle, _node(cpus, gpus))
        for owner, seen_at, obstacle, cpus, gpus in rows
        if not is_gone(owner)
    ]


def _node(cpus: float | None, gpus: float | None) -> Node | None:
    return None if cpus is None or gpus is None else Node(cpus, gpus)


def _reason(alive: Sequence[Alive]) -> str | None:
    if any(dispatcher.obstacle is None for dispatcher in alive):
        return None
    return f"waiting for {alive[0].obstacle if alive else NOBODY}"


def _to_say(
    session: Session, is_gone: IsGone, limits: TenantLimits
) -> list[tuple[ColumnElement[bool], str | None]]:
    """Which searches do not say yet what they wait for, and what that is. What keeps all of them
    comes before what keeps those of a tenant.
    """
    everybody = _reason(_alive(session, is_gone))
    if everybody is not None:
        return [(_is_to_say(everybody), everybody)]
    held_up = limits.reasons(session)
    own = (Search.state == SearchState.QUEUED) & Search.tenant_id.in_(held_up)
    return [
        (~own & _is_to_say(None), None),
        *(
            (own & (Search.tenant_id == tenant_id) & _is_to_say(reason), reason)
            for tenant_id, reason in held_up.items()
        ),
    ]


def _is_to_say(reason: str | None) -> ColumnElement[bool]:
    return waiting() & Search.state_reason.is_distinct_from(reason)
