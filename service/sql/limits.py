"""What keeps the searches of a tenant in the queue though a dispatcher could run them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.sql.states import SearchState
from service.sql.tables import Search
from service.sql.worker_seconds import worker_seconds_of


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Of each tenant: searches that run at a time, and seconds that workers work for it in a day
    (UTC), after which no further search begins. None: any number.
    """

    running_searches: int | None = None
    worker_seconds: int | None = None

    def __bool__(self) -> bool:
        return self.running_searches is not None or self.worker_seconds is not None

    def reason(self, session: Session, tenant_id: str) -> str | None:
        """What the next search of the tenant waits for; None: it may begin."""
        limit = self.worker_seconds
        if limit is not None and worker_seconds_of(session, tenant_id) >= limit:
            return f"waiting for the next day (UTC): the {limit} worker seconds of today are used"
        limit = self.running_searches
        if limit is not None and _running(session, tenant_id) >= limit:
            return f"waiting for another search to end: {limit} of this tenant may run at a time"
        return None

    def reasons(self, session: Session) -> dict[str, str]:
        """By tenant, of those that have searches in the queue and may begin none."""
        if not self:
            return {}
        waiting = select(Search.tenant_id).where(Search.state == SearchState.QUEUED).distinct()
        tenants = session.scalars(waiting).all()
        found = {tenant_id: self.reason(session, tenant_id) for tenant_id in tenants}
        return {tenant_id: reason for tenant_id, reason in found.items() if reason is not None}


def _running(session: Session, tenant_id: str) -> int:
    of_it = Search.state == SearchState.RUNNING, Search.tenant_id == tenant_id
    return session.scalar(select(func.count()).select_from(Search).where(*of_it)) or 0
