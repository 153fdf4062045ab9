"""What searches remember of earlier ones: read from those, and written down with the new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.memory import Memory, Remembered
from search.request.read import stored_spec
from search.spec import SearchSpec
from search.trial import Trial
from service.refusals import NotFoundError
from service.sql import tables
from service.sql.database import Sessions
from service.sql.events import append_event
from service.sql.searches import SearchRepository
from service.sql.states import ENDED
from service.sql.trial_rows import trial_of
from service.sql.trials import TrialRepository

MOST_LOOKED_AT = 50
"""Of a tenant's searches, the newest that have ended."""


@dataclass(frozen=True)
class PastSearch:
    """Implements `search.request.memory.Past`."""

    sessions: Sessions
    row: tables.Search

    @property
    def id(self) -> str:
        return self.row.id

    @cached_property
    def spec(self) -> SearchSpec:
        """
        Raises:
            ValueError: it names what is not here any more.
        """
        return stored_spec(self.row.spec)

    @property
    def dataset_fingerprint(self) -> str:
        return self.row.dataset_fingerprint

    def scores(self) -> Sequence[tuple[int, tuple[float, ...]]]:
        with self.sessions.read() as session:
            return self._trials(session).scores()

    def trials(self, numbers: Sequence[int]) -> Sequence[Trial]:
        with self.sessions.read() as session:
            return [trial_of(row) for row in self._trials(session).of_numbers(numbers)]

    def _trials(self, session: Session) -> TrialRepository:
        return TrialRepository(session, self.row.tenant_id, self.row.id)


class PastSearches:
    """Implements `search.request.memory.Archives`: of one tenant."""

    def __init__(self, sessions: Sessions, tenant_id: str) -> None:
        self._sessions, self._tenant_id = sessions, tenant_id

    def named(self, search_id: str) -> PastSearch | None:
        with self._sessions.read() as session:
            try:
                row = SearchRepository(session, self._tenant_id).get(search_id)
            except NotFoundError:
                return None
        return PastSearch(self._sessions, row)

    def ended(self) -> Iterator[PastSearch]:
        with self._sessions.read() as session:
            rows = session.scalars(
                select(tables.Search)
                .where(tables.Search.tenant_id == self._tenant_id, tables.Search.state.in_(ENDED))
                .order_by(tables.Search.id.desc())
                .limit(MOST_LOOKED_AT)
            ).all()
        return (PastSearch(self._sessions, row) for row in rows)


def write_down(session: Session, search: tables.Search, memory: Memory) -> None:
    """With a new search, in the transaction that submits it."""
    session.add_all(
        tables.Remembered(
            search_id=search.id,
            place=place,
            tenant_id=search.tenant_id,
            source_search=remembered.search,
            dataset=remembered.dataset,
            dataset_fingerprint=remembered.dataset_fingerprint,
            results=remembered.results,
            recollections=remembered.to_json()["recollections"],
        )
        for place, remembered in enumerate(memory)
    )
    append_event(session, search, "memory.read", {"searches": summaries(memory)})


def memory_of(session: Session, tenant_id: str, search_id: str) -> list[Remembered]:
    """What a search of the tenant remembers; nothing of one that is not there."""
    rows = session.scalars(
        select(tables.Remembered)
        .where(tables.Remembered.search_id == search_id, tables.Remembered.tenant_id == tenant_id)
        .order_by(tables.Remembered.place)
    )
    return [
        Remembered.from_json(
            {
                "search": row.source_search,
                "dataset": row.dataset,
                "dataset_fingerprint": row.dataset_fingerprint,
                "results": row.results,
                "recollections": row.recollections,
            }
        )
        for row in rows
    ]


def summaries(memory: Memory) -> list[dict[str, str | int]]:
    """Each earlier search, with how many of its results are remembered in place of them."""
    return [
        {
            "search": remembered.search,
            "dataset": remembered.dataset,
            "dataset_fingerprint": remembered.dataset_fingerprint,
            "results": remembered.results,
            "recollections": len(remembered.recollections),
        }
        for remembered in memory
    ]
