"""How long workers have worked for a tenant today (UTC): counted as trials end, and kept when their
search is deleted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.sql.tables import WorkerSeconds


def add_worker_seconds(session: Session, tenant_id: str, seconds: float) -> None:
    if seconds <= 0:
        return
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if is_postgresql else sqlite.insert)(WorkerSeconds)
    new = insert.values(tenant_id=tenant_id, day=_today(), seconds=seconds)
    session.execute(
        new.on_conflict_do_update(
            index_elements=["tenant_id", "day"],
            set_={"seconds": WorkerSeconds.seconds + new.excluded.seconds},
        )
    )


def worker_seconds_of(session: Session, tenant_id: str) -> float:
    """Of today, of trials that have ended."""
    key = WorkerSeconds.tenant_id == tenant_id, WorkerSeconds.day == _today()
    return session.scalar(select(WorkerSeconds.seconds).where(*key)) or 0.0


def _today() -> date:
    return datetime.now(UTC).date()
