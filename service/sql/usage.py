"""What a tenant uses of what is shared."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.sql.states import ENDED, SearchState
from service.sql.tables import Artifact, Dataset, Search, Tenant
from service.sql.worker_seconds import worker_seconds_of


@dataclass(frozen=True, slots=True)
class Usage:
    """`queued_searches` wait or are paused; `trials` may still be run by searches that have not
    ended, finals not counted; `worker_seconds` are those of today; `stored_bytes` are those of
    datasets and bundles.
    """

    running_searches: int
    queued_searches: int
    trials: int
    worker_seconds: float
    stored_bytes: int


def usage_of(session: Session, tenant_id: str) -> Usage:
    left = Search.trials_total + Search.baseline_total - Search.trials_done - Search.baseline_done
    rows = session.execute(
        select(Search.state, func.count(), func.sum(left))
        .where(Search.tenant_id == tenant_id, Search.state.not_in([*ENDED]))
        .group_by(Search.state)
    ).all()
    counts = {state: count for state, count, _ in rows}
    running = counts.pop(SearchState.RUNNING, 0)
    return Usage(
        running_searches=running,
        queued_searches=sum(counts.values()),
        trials=sum(max(0, int(trials)) for _, _, trials in rows),
        worker_seconds=worker_seconds_of(session, tenant_id),
        stored_bytes=_bytes(session, Dataset.size_bytes, tenant_id)
        + _bytes(session, Artifact.size_bytes, tenant_id, Artifact.removed_at.is_(None)),
    )


def lock_tenant(session: Session, tenant_id: str) -> None:
    """Let nobody else who asks for this come between until the transaction ends. What is written
    for the tenant by others is not held up.
    """
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def _bytes(
    session: Session,
    size: InstrumentedAttribute[int],
    tenant_id: str,
    *conditions: ColumnElement[bool],
) -> int:
    query = select(func.coalesce(func.sum(size), 0)).where(size.class_.tenant_id == tenant_id)
    return int(session.scalar(query.where(*conditions)) or 0)
