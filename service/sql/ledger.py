"""What the owner of a search publishes, in SQL: a file counts when its row is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from models.storage import StoredFile
from search.trial import Failure, TrialState
from service.sql.artifacts import BUNDLE
from service.sql.database import Sessions
from service.sql.events import event
from service.sql.lease import Claim, change
from service.sql.outages import outlast
from service.sql.tables import Artifact, Search, Trial
from service.sql.trial_ends import end_trial
from service.sql.trial_rows import trial_of


class Ledger:
    def __init__(self, sessions: Sessions, claim: Claim) -> None:
        self._sessions, self._claim = sessions, claim

    def published(self) -> dict[int, str]:
        """The paths of the search's bundles by the number of the final trial."""
        with self._sessions.read() as session:
            rows = session.execute(
                select(Artifact.number, Artifact.path).where(
                    Artifact.search_id == self._claim.search_id, Artifact.kind == BUNDLE
                )
            )
            return {number: path for number, path in rows}

    def publish(self, number: int, candidate: int, path: str, file: StoredFile) -> None:
        """From now on the bundle of final trial `number` is there for clients.

        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
        """

        def commit(again: bool) -> None:
            with self._sessions.begin() as session:
                row = change(session, self._claim, events=1)
                if again and self._is_published(session, number):
                    session.rollback()
                    return
                session.execute(
                    insert(Artifact).values(
                        search_id=self._claim.search_id,
                        number=number,
                        kind=BUNDLE,
                        tenant_id=row.tenant_id,
                        path=path,
                        sha256=file.sha256,
                        size_bytes=file.size_bytes,
                        created_at=datetime.now(UTC),
                    )
                )
                data = {
                    "number": number,
                    "trial": candidate,
                    "sha256": file.sha256,
                    "size_bytes": file.size_bytes,
                }
                search_id, sequence = self._claim.search_id, row.event_sequence
                session.add(event(search_id, row.tenant_id, sequence, "bundle.published", data))

        outlast(commit)

    def refuse(self, number: int, failure: Failure) -> None:
        """Final trial `number` has failed after all: its model does not hold what it promised.

        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
        """

        def commit(again: bool) -> None:
            with self._sessions.begin() as session:
                search_id, row = self._claim.search_id, change(session, self._claim, events=1)
                known = trial_of(session.get_one(Trial, (search_id, number)))
                if again and known.failure == failure:
                    session.rollback()
                    return
                failed = replace(known, state=TrialState.FAILED, fitness=None, failure=failure)
                end_trial(
                    session,
                    search_id,
                    row.tenant_id,
                    failed,
                    row.event_sequence,
                    before=[TrialState.COMPLETED],
                )

        outlast(commit)

    def has_simple(self) -> bool:
        """Whether the results of simple models are here."""
        with self._sessions.read() as session:
            query = select(Search.simple.is_not(None)).where(Search.id == self._claim.search_id)
            return bool(session.scalar(query))

    def keep_simple(self, results: Sequence[Mapping[str, Any]]) -> None:
        """
        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
        """

        def commit(again: bool) -> None:
            with self._sessions.begin() as session:
                change(session, self._claim, events=0, simple=list(results))

        outlast(commit)

    def _is_published(self, session: Session, number: int) -> bool:
        key = {"search_id": self._claim.search_id, "number": number, "kind": BUNDLE}
        return session.get(Artifact, key) is not None
