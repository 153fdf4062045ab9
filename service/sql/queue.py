"""The queue of searches, which is the database itself.

A search is up for a claim when it is `queued`, or `running` with a lease that expired or was given
back. A claim is one short transaction: `FOR UPDATE SKIP LOCKED` on PostgreSQL, `BEGIN IMMEDIATE` on
SQLite. What an owner writes later names its claim (`service.sql.lease`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.orm import Session

from search.engine.journal import StaleOwnerError
from search.trial import UNENDED, Failure, FailureKind, TrialState
from service.sql.clock import database_time
from service.sql.database import Sessions
from service.sql.events import EventType, event
from service.sql.lease import Claim, change, holds
from service.sql.limits import TenantLimits
from service.sql.states import SearchState
from service.sql.tables import Event, Search, Tenant, Trial
from service.sql.transitions import change_state
from service.sql.trial_ends import end_trial
from service.sql.trial_rows import trial_of
from service.sql.usage import lock_tenant
from service.sql.worker_seconds import add_worker_seconds

if TYPE_CHECKING:
    from search.spec import SearchSpec

LEASE_SECONDS = 15.0

Ending = Literal[SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED]


@dataclass(frozen=True, slots=True)
class Requests:
    """What clients ask of a running search.

    `action` is "cancel", "pause" or None; `document` is the stored spec.
    """

    action: str | None
    document: dict[str, Any]
    name: str
    dataset_fingerprint: str
    elapsed_seconds: float
    tenant_id: str

    @property
    def spec(self) -> SearchSpec:
        """In which `PATCH` changes the budget and the number of parallel trials.

        Raises:
            search.problems.SpecError: it names what is not here any more.
        """
        from search.request.read import stored_spec  # imports torch

        return stored_spec(self.document)


class Queue:
    """`limits`: what keeps a tenant's searches in it."""

    def __init__(
        self,
        sessions: Sessions,
        lease_seconds: float = LEASE_SECONDS,
        limits: TenantLimits = TenantLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._sessions, self.lease_seconds = sessions, lease_seconds
        self._limits = limits

    def claim(self, owner: str) -> Claim | None:
        """Take the next search, or None when nothing waits.

        Interrupted searches go first. Then tenants take turns: the one with the fewest running
        searches, among equals the one that waits longest since its last claim; of a tenant, the
        oldest search.
        """
        if not self.has_waiting():
            return None
        with self._sessions.begin() as session:
            search_id = self._interrupted(session) or self._queued(session)
            return None if search_id is None else self._take(session, search_id, owner)

    def has_waiting(self, more_than: int = 0) -> bool:
        """Whether so many searches are up for a claim; takes no lock."""
        query = select(Search.id).where(waiting()).limit(1).offset(max(0, more_than))
        with self._sessions.read() as session:
            return session.execute(query).first() is not None

    def heartbeat(self, claim: Claim, elapsed_seconds: float) -> None:
        """Extend the lease.

        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.begin() as session:
            change(
                session,
                claim,
                events=0,
                lease_expires_at=database_time(self.lease_seconds),
                elapsed_seconds=elapsed_seconds,
            )

    def explain(self, claim: Claim, reason: str | None) -> None:
        """Say in a running search, and in an event, what it waits for; None: it goes on.

        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.begin() as session:
            row = change(session, claim, events=1, state_reason=reason)
            data = {"reason": reason}
            search_id, sequence = claim.search_id, row.event_sequence
            session.add(event(search_id, row.tenant_id, sequence, "search.waiting", data))

    def requests(self, claim: Claim) -> Requests:
        """
        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.read() as session:
            row = session.execute(
                select(
                    Search.requested,
                    Search.spec,
                    Search.name,
                    Search.dataset_fingerprint,
                    Search.elapsed_seconds,
                    Search.tenant_id,
                ).where(*holds(claim))
            ).one_or_none()
        if row is None:
            raise StaleOwnerError(f"{claim} no longer holds")
        return Requests(*row)

    def release(self, claim: Claim) -> bool:
        """Give the search back; the next claim goes on from its journal. False: it was not held."""
        with self._sessions.begin() as session:
            try:
                change(session, claim, events=0, **_NO_LEASE)
            except StaleOwnerError:
                return False
        return True

    def interrupt(self, claim: Claim, cause: str, *, blamed: bool, limit: int) -> None:
        """Give a search back whose driver has ended; nothing happens if it is not held any more.

        Clients see the cause. After `limit` interruptions in a row that are blamed on the search
        itself, with no progress between them, it has failed.
        """
        if blamed:
            causes = [cause, *self.interruptions(claim.search_id)]
            if len(causes) >= limit:
                reason = f"{len(causes)} drivers ended without progress, the last because {cause}"
                with contextlib.suppress(StaleOwnerError):
                    self.finish(claim, SearchState.FAILED, reason)
                return
        with self._sessions.begin() as session, contextlib.suppress(StaleOwnerError):
            row = change(session, claim, events=1, **_NO_LEASE)
            data = {"cause": cause, "blamed": blamed}
            search_id, sequence = claim.search_id, row.event_sequence
            session.add(event(search_id, row.tenant_id, sequence, "search.interrupted", data))

    def finish(self, claim: Claim, state: Ending, reason: str | None = None) -> None:
        """End the search. Trials that still ran are pruned: an ended search runs nothing.

        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.begin() as session:
            self._finish(session, claim, state, reason)

    def settle(self, claim: Claim) -> SearchState:
        """Do what was requested: cancel, pause, or, where the client took the request back, give
        the search back, which is `running`. The state is the answer.

        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.begin() as session:
            requested = change(session, claim, events=0).requested
            if requested == "cancel":
                self._finish(session, claim, SearchState.CANCELLED, None)
                return SearchState.CANCELLED
            if requested != "pause":
                change(session, claim, events=0, **_NO_LEASE)
                return SearchState.RUNNING
            change_state(session, claim.search_id, SearchState.PAUSED, claim=claim)
            return SearchState.PAUSED

    def pause(self, claim: Claim, reason: str) -> SearchState:
        """Have the search wait until what it lacks is there, see `go_on`.

        Raises:
            search.engine.journal.StaleOwnerError: the claim no longer holds.
        """
        with self._sessions.begin() as session:
            change_state(session, claim.search_id, SearchState.PAUSED, reason, claim)
        return SearchState.PAUSED

    def go_on(self, beginning: str) -> list[str]:
        """Queue the searches again that are paused for a reason that begins so; their identifiers.
        A pause that a client asked for has no reason.
        """
        paused = (Search.state == SearchState.PAUSED) & Search.state_reason.startswith(
            beginning, autoescape=True
        )
        with self._sessions.read() as session:
            if session.scalar(select(Search.id).where(paused).limit(1)) is None:
                return []
        with self._sessions.begin() as session:
            found = session.scalars(select(Search.id).where(paused).with_for_update()).all()
            for search_id in found:
                change_state(session, search_id, SearchState.QUEUED)
        return list(found)

    def held_by(self, owner: str) -> set[Claim]:
        """The claims of an owner that still hold, and whose lease is not over: who lets it expire
        may stand still for ever, and would keep the place that the next owner needs.
        """
        with self._sessions.read() as session:
            rows = session.execute(
                select(Search.id, Search.lease_token).where(
                    Search.state == SearchState.RUNNING,
                    Search.lease_owner == owner,
                    ~_lease_is_over(),
                )
            ).all()
        return {Claim(search_id, token, owner) for search_id, token in rows}

    def release_owners(self, is_gone: Callable[[str], bool]) -> list[str]:
        """Give back the searches whose owners are known to be gone, without waiting for their
        leases; the identifiers of the searches.
        """
        with self._sessions.read() as session:
            held = session.execute(
                select(Search.id, Search.lease_token, Search.lease_owner).where(
                    Search.state == SearchState.RUNNING, Search.lease_owner.is_not(None)
                )
            ).all()
        claims = [
            Claim(search_id, token, owner)
            for search_id, token, owner in held
            if owner is not None and is_gone(owner)
        ]
        return [claim.search_id for claim in claims if self.release(claim)]

    def interruptions(self, search_id: str) -> list[str]:
        """The causes of the latest interruptions blamed on the search, newest first, that no
        progress came after.
        """
        progress: Sequence[EventType] = ("trial.epoch", "trial.ended", "bundle.published")
        with self._sessions.read() as session:
            rows = session.execute(
                select(Event.type, Event.data)
                .where(
                    Event.search_id == search_id,
                    Event.type.in_([*progress, "search.interrupted", "search.queued"]),
                )
                .order_by(Event.sequence.desc())
                .limit(100)
            ).all()
        causes: list[str] = []
        for row in rows:
            if row.type != "search.interrupted":
                break
            if row.data["blamed"]:
                causes.append(row.data["cause"])
        return causes

    def _interrupted(self, session: Session) -> str | None:
        return session.scalar(
            select(Search.id)
            .where(Search.state == SearchState.RUNNING, _lease_is_over())
            .order_by(Search.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )

    def _queued(self, session: Session) -> str | None:
        oldest = (  # a look into the index for each tenant, however many searches wait
            select(func.min(Search.id))
            .where(Search.state == SearchState.QUEUED, Search.tenant_id == Tenant.id)
            .scalar_subquery()
        )
        found = session.execute(select(Tenant.id, oldest.label("oldest"), Tenant.last_claimed_at))
        waiting = [row for row in found if row.oldest is not None]
        if not waiting:
            return None
        counts = session.execute(
            select(Search.tenant_id, func.count())
            .where(Search.state == SearchState.RUNNING)
            .group_by(Search.tenant_id)
        )
        running: dict[str, int] = {tenant_id: count for tenant_id, count in counts}

        def turn(row: Row[str, str, datetime | None]) -> tuple[int, float, str]:
            tenant_id, oldest, last = row
            return running.get(tenant_id, 0), last.timestamp() if last else 0.0, oldest

        for tenant_id, _, _ in sorted(waiting, key=turn):
            if self._has_enough(session, tenant_id):
                continue
            search_id = session.scalar(
                select(Search.id)
                .where(Search.state == SearchState.QUEUED, Search.tenant_id == tenant_id)
                .order_by(Search.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if search_id is not None:
                return search_id
        return None

    def _has_enough(self, session: Session, tenant_id: str) -> bool:
        """Counted again under a lock, because several dispatchers claim at once."""
        if not self._limits:
            return False
        lock_tenant(session, tenant_id)
        return self._limits.reason(session, tenant_id) is not None

    def _take(self, session: Session, search_id: str, owner: str) -> Claim:
        token, tenant_id = change_state(
            session,
            search_id,
            SearchState.RUNNING,
            lease_owner=owner,
            lease_token=Search.lease_token + 1,
            lease_expires_at=database_time(self.lease_seconds),
        )
        session.execute(
            update(Tenant)
            .where(Tenant.id == tenant_id)
            .values(last_claimed_at=database_time())
            .execution_options(synchronize_session=False)
        )
        return Claim(search_id, token, owner)

    def _finish(self, session: Session, claim: Claim, state: Ending, reason: str | None) -> None:
        change(session, claim, events=0)
        trials = session.scalars(
            select(Trial)
            .where(Trial.search_id == claim.search_id, Trial.state.in_(UNENDED))
            .order_by(Trial.number)
        ).all()
        if trials:
            failure = Failure(FailureKind.CANCELLED, _ENDINGS[state])
            row = change(session, claim, events=len(trials))
            first = row.event_sequence - len(trials) + 1
            for sequence, trial in enumerate(map(trial_of, trials), first):
                pruned = replace(trial, state=TrialState.PRUNED, failure=failure)
                end_trial(session, claim.search_id, row.tenant_id, pruned, sequence)
            add_worker_seconds(session, row.tenant_id, _seconds_under_way(trials))
        change_state(session, claim.search_id, state, reason, claim)


_NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}

_ENDINGS: dict[Ending, str] = {
    SearchState.SUCCEEDED: "the search ended",
    SearchState.FAILED: "the search failed",
    SearchState.CANCELLED: "the search was cancelled",
}


def _seconds_under_way(trials: Sequence[Trial]) -> float:
    """What workers have spent on trials that are cut off."""
    now = datetime.now(UTC)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return sum((now - trial.started_at).total_seconds() for trial in running)


def _lease_is_over() -> ColumnElement[bool]:
    return or_(Search.lease_expires_at.is_(None), Search.lease_expires_at < database_time())


def waiting() -> ColumnElement[bool]:
    """Up for a claim."""
    return or_(
        Search.state == SearchState.QUEUED, (Search.state == SearchState.RUNNING) & _lease_is_over()
    )
