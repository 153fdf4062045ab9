"""Uploads on their way to a dataset, in SQL. Every query but the sweep names the tenant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.processes.names import is_gone, process_name
from service.sql.tables import Upload

LONGEST_READING = timedelta(hours=6)
"""After which a reader on a machine that nobody hears of is given up."""

_LOST = "the server ended, or had no database, while it read the file; upload it again"


class UploadRepository:
    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session, self._tenant_id = session, tenant_id

    def find(self, name: str, *, lock: bool = False) -> Upload | None:
        query = select(Upload).where(Upload.tenant_id == self._tenant_id, Upload.name == name)
        return self._session.scalar(query.with_for_update() if lock else query)

    def after(self, name: str, number: int) -> Sequence[Upload]:
        """The first whose names come after `name`, by name."""
        return self._session.scalars(
            select(Upload)
            .where(Upload.tenant_id == self._tenant_id, Upload.name > name)
            .order_by(Upload.name)
            .limit(number)
        ).all()


def give_up_lost(session: Session, here: Collection[str]) -> int:
    """Say of uploads that nobody reads any more that they have failed; how many those are. `here`:
    ids of those that this process reads, each from before it has its row on.
    """
    reading = session.scalars(select(Upload).where(Upload.reason.is_(None))).all()
    too_old = datetime.now(UTC) - LONGEST_READING
    own = process_name()
    lost = [
        row.id
        for row in reading
        if is_gone(row.reader)
        or row.created_at < too_old
        or (row.reader == own and row.id not in here)
    ]
    still_reading = update(Upload).where(Upload.id.in_(lost), Upload.reason.is_(None))
    session.execute(still_reading.values(reason=_LOST))
    return len(lost)
