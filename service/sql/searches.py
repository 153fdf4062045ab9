"""Searches in SQL. Every query of a client names the tenant that asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.identifiers import new_search_id
from service.refusals import NotFoundError
from service.sql.events import append_event
from service.sql.states import ENDED, SearchState
from service.sql.tables import Artifact, IdempotencyKey, Search

if TYPE_CHECKING:
    from search.memory import Memory
    from search.problems import SpecWarning
    from search.spec import SearchSpec
    from search.trial import Trial


@dataclass(frozen=True, slots=True)
class SearchStatus:
    """What tells a waiting client that something happened."""

    state: SearchState
    revision: int
    event_sequence: int


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted request: the resolved spec, what it was resolved against, what its client should
    change, the results of earlier searches that it begins with, and what it remembers of those on
    other data. `names_upload`: the dataset is one that can be deleted. `floor`: what knows nothing
    of it scores; None: unknown.
    """

    spec: SearchSpec
    dataset_fingerprint: str
    versions: dict[str, str]
    warnings: Sequence[SpecWarning] = ()
    taken_over: Sequence[Trial] = ()
    memory: Memory = ()
    names_upload: bool = False
    floor: dict[str, float] | None = None


class KeyTakenError(Exception):
    """The idempotency key belongs to a search that was posted with another body."""


@dataclass(frozen=True, slots=True)
class Revision:
    """All that an answer without news needs."""

    number: int
    has_ended: bool


_REVISIONS = select(Search.id, Search.revision, Search.state).where(
    Search.tenant_id == bindparam("tenant_id"),
    Search.id.in_(bindparam("search_ids", expanding=True)),
)


class SearchRepository:
    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session, self._tenant_id = session, tenant_id

    def get(self, search_id: str, *, lock: bool = False) -> Search:
        """
        Raises:
            NotFoundError: the tenant has no such search.
        """
        query = select(Search).where(Search.id == search_id, Search.tenant_id == self._tenant_id)
        search = self._session.scalar(query.with_for_update() if lock else query)
        if search is None:
            raise NotFoundError("search", search_id)
        return search

    def check(self, search_id: str) -> None:
        """
        Raises:
            NotFoundError: the tenant has no such search.
        """
        if not revisions(self._session.connection(), self._tenant_id, [search_id]):
            raise NotFoundError("search", search_id)

    def page(self, size: int, *, before: str | None, state: SearchState | None) -> Sequence[Search]:
        """At most `size` searches older than `before`, newest first."""
        query = select(Search).where(Search.tenant_id == self._tenant_id)
        if state is not None:
            query = query.where(Search.state == state)
        if before is not None:
            query = query.where(Search.id < before)
        return self._session.scalars(query.order_by(Search.id.desc()).limit(size)).all()

    def submitted(self, key: str, body_sha256: str) -> Search | None:
        """The search that was posted with this key, if any.

        Raises:
            KeyTakenError: it was posted with another body.
        """
        row = self._session.scalar(
            select(IdempotencyKey).where(
                IdempotencyKey.tenant_id == self._tenant_id, IdempotencyKey.key == key
            )
        )
        if row is None:
            return None
        if row.body_sha256 != body_sha256:
            raise KeyTakenError
        return self.get(row.search_id)

    def submit(
        self, submission: Submission, key: str | None, body_sha256: str
    ) -> tuple[Search, bool]:
        """Queue a new search, and True; with a key that won the race meanwhile, give that one's,
        and False.

        Raises:
            KeyTakenError: the key belongs to another body.
        """
        search = Search(
            id=new_search_id(),
            tenant_id=self._tenant_id,
            state=SearchState.QUEUED,
            **spec_columns(submission.spec),
            dataset_fingerprint=submission.dataset_fingerprint,
            versions=submission.versions,
            warnings=[warning.to_json() for warning in submission.warnings],
            floor=submission.floor,
            created_at=datetime.now(UTC),
            revision=0,  # its first event makes it 1
        )
        attempt = self._session.begin_nested()
        self._session.add(search)
        self._session.flush()
        if key is not None and not self._take_key(key, body_sha256, search.id):
            attempt.rollback()
            earlier = self.submitted(key, body_sha256)
            if earlier is None:
                raise KeyTakenError  # its search was deleted between two statements
            return earlier, False
        append_event(
            self._session, search, "search.queued", {"state": search.state, "reason": None}
        )
        attempt.commit()
        return search, True

    def delete(self, search: Search) -> list[str]:
        """Delete a search with everything that belongs to it; the paths of its files, which are
        to be removed when the transaction has committed.
        """
        paths = self._session.scalars(
            select(Artifact.path).where(
                Artifact.search_id == search.id, Artifact.tenant_id == self._tenant_id
            )
        ).all()
        self._session.execute(
            delete(Search).where(Search.id == search.id, Search.tenant_id == self._tenant_id)
        )
        return list(paths)

    def _take_key(self, key: str, body_sha256: str, search_id: str) -> bool:
        """False where the key is taken. A concurrent post with the same key is waited for."""
        values = {
            "tenant_id": self._tenant_id,
            "key": key,
            "body_sha256": body_sha256,
            "search_id": search_id,
            "created_at": datetime.now(UTC),
        }
        is_postgresql = self._session.get_bind().dialect.name == "postgresql"
        insert = postgresql.insert if is_postgresql else sqlite.insert
        taken = self._session.execute(
            insert(IdempotencyKey)
            .values(values)
            .on_conflict_do_nothing(index_elements=["tenant_id", "key"])
            .returning(IdempotencyKey.search_id)
        )
        return taken.first() is not None


def spec_columns(spec: SearchSpec) -> dict[str, Any]:
    """The stored form of a resolved spec, with what is asked of it where nobody parses it."""
    from search.engine.stages.baseline import Baseline  # imports torch

    return {
        "spec": spec.to_json(),
        "name": spec.name,
        "dataset": spec.dataset,
        "trials_total": spec.budget.trials,
        "baseline_total": Baseline.counts(spec, math.inf),
        "seconds_limit": spec.budget.seconds,
    }


def trials_of(spec: SearchSpec) -> int:
    """That a search may run, those of its baseline included; finals are not counted."""
    columns = spec_columns(spec)
    return int(columns["trials_total"] + columns["baseline_total"])


def revisions(
    connection: Connection, tenant_id: str, search_ids: Sequence[str]
) -> dict[str, Revision]:
    """Of those searches that the tenant has. It is what pollers ask, so it takes a connection
    alone: a session would double its cost.
    """
    found: dict[str, Revision] = {}
    for start in range(0, len(search_ids), 500):
        values = {"tenant_id": tenant_id, "search_ids": search_ids[start : start + 500]}
        for search_id, revision, state in connection.execute(_REVISIONS, values):
            found[search_id] = Revision(revision, state in ENDED)
    return found


def statuses(session: Session, search_ids: Sequence[str]) -> dict[str, SearchStatus]:
    """Of searches whose tenant has been checked; without those that do not exist."""
    found: dict[str, SearchStatus] = {}
    for start in range(0, len(search_ids), 500):
        rows = session.execute(
            select(Search.id, Search.state, Search.revision, Search.event_sequence).where(
                Search.id.in_(search_ids[start : start + 500])
            )
        )
        found |= {row.id: SearchStatus(row.state, row.revision, row.event_sequence) for row in rows}
    return found


def count_by_state(session: Session) -> dict[SearchState, int]:
    """Searches of all tenants, for the operator's metrics."""
    rows = session.execute(select(Search.state, func.count()).group_by(Search.state))
    return {state: count for state, count in rows}


def oldest_queued(session: Session) -> datetime | None:
    """When the search was posted that waits longest in the queue."""
    return session.scalar(
        select(func.min(Search.created_at)).where(Search.state == SearchState.QUEUED)
    )
