"""How much a tenant may use, as the settings say; each has the same."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.orm import Session

from service.api.quota.schemas import Allowance, QuotaRead
from service.refusals import InvalidError, ProblemError, item
from service.settings import ServiceSettings
from service.sql.usage import lock_tenant, usage_of

RETRY_AFTER_SECONDS = 60
"""When something that is used now may have been given back."""


class QuotaError(ProblemError):
    """The tenant has used what it may of `quota`."""

    def __init__(
        self,
        status: int,
        detail: str,
        quota: str,
        used: int,
        limit: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            status,
            detail,
            kind="quota-exceeded",
            title="Quota exceeded",
            headers=headers,
            quota=quota,
            used=used,
            limit=limit,
        )


class Quotas:
    """Checks come before what they allow, in its transaction and under the lock of the tenant, so
    that two requests at once do not both take what is left.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._requests = _PerMinute(settings.quota_requests_per_minute)

    def take_request(self, tenant_id: str) -> None:
        """
        Raises:
            ProblemError: 429, the tenant has asked as often as it may.
        """
        if (seconds := self._requests.take(tenant_id)) is not None:
            limit = self._requests.limit or 0
            raise _used_up("requests", limit, limit, "within a minute", seconds)

    def admit_search(self, session: Session, tenant_id: str, trials: int) -> None:
        """
        Raises:
            InvalidError: the search alone has more trials than the tenant may.
            ProblemError: 429, what the tenant may is used up.
        """
        settings = self._settings
        if settings.quota_queued_searches is not None or settings.quota_stored_bytes is not None:
            lock_tenant(session, tenant_id)
            used = usage_of(session, tenant_id)
            _check("queued_searches", used.queued_searches, 1, settings.quota_queued_searches)
            _check("stored_bytes", used.stored_bytes, 1, settings.quota_stored_bytes)
        self.admit_trials(session, tenant_id, trials)

    def admit_trials(self, session: Session, tenant_id: str, trials: int) -> None:
        """
        Raises:
            InvalidError: these are more than the tenant may ever have.
            ProblemError: 429, others are in the way.
        """
        limit = self._settings.quota_trials
        if limit is None or trials <= 0:
            return
        if trials > limit:
            detail = f"got {trials} trials, the baseline's included; a tenant may have {limit}"
            raise InvalidError([item("body", "/budget/trials", detail)])
        lock_tenant(session, tenant_id)
        _check("trials", usage_of(session, tenant_id).trials, trials, limit)

    def admit_bytes(self, session: Session, tenant_id: str, size: int) -> None:
        """
        Raises:
            ProblemError: 413, the tenant has no room for them.
        """
        if self._settings.quota_stored_bytes is not None:
            lock_tenant(session, tenant_id)
            self.check_room(session, tenant_id, size)

    def check_room(self, session: Session, tenant_id: str, size: int) -> None:
        """The same without the lock.

        Raises:
            ProblemError: 413, the tenant has no room for them.
        """
        limit = self._settings.quota_stored_bytes
        if limit is None:
            return
        used = usage_of(session, tenant_id).stored_bytes
        if used + size > limit:
            detail = (
                f"{used} of the {limit} bytes of this tenant are used, and there is no room for "
                f"{size} more; delete datasets or searches"
            )
            raise QuotaError(413, detail, "stored_bytes", used, limit)

    def read(self, session: Session, tenant_id: str) -> QuotaRead:
        used, settings = usage_of(session, tenant_id), self._settings
        return QuotaRead(
            tenant=tenant_id,
            running_searches=Allowance(
                used=used.running_searches, limit=settings.quota_running_searches
            ),
            queued_searches=Allowance(
                used=used.queued_searches, limit=settings.quota_queued_searches
            ),
            trials=Allowance(used=used.trials, limit=settings.quota_trials),
            worker_seconds=Allowance(
                used=math.ceil(used.worker_seconds), limit=settings.quota_worker_seconds
            ),
            stored_bytes=Allowance(used=used.stored_bytes, limit=settings.quota_stored_bytes),
            requests_per_minute=Allowance(
                used=self._requests.used(tenant_id), limit=self._requests.limit
            ),
        )


def quotas_of(request: Request) -> Quotas:
    quotas: Quotas = request.app.state.quotas
    return quotas


class _PerMinute:
    """A moving window for each tenant, in the memory of this process."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._item = None if limit is None else RateLimitItemPerMinute(limit)
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def take(self, tenant_id: str) -> int | None:
        """Seconds until there is room for one more; None: there was."""
        if self._item is None or self._windows.hit(self._item, tenant_id):
            return None
        reset = self._windows.get_window_stats(self._item, tenant_id).reset_time
        return max(1, math.ceil(reset - time.time()))

    def used(self, tenant_id: str) -> int | None:
        if self._item is None:
            return None
        left = self._windows.get_window_stats(self._item, tenant_id).remaining
        return self._item.amount - left


_WHAT = {
    "queued_searches": "searches that wait or are paused",
    "trials": "trials that its searches may still run",
    "stored_bytes": "bytes of datasets and bundles",
    "requests": "requests",
}


def _check(quota: str, used: int, wanted: int, limit: int | None) -> None:
    if limit is not None and used + wanted > limit:
        raise _used_up(quota, used, limit, f"and {wanted} more wanted", RETRY_AFTER_SECONDS)


def _used_up(quota: str, used: int, limit: int, when: str, seconds: int) -> QuotaError:
    detail = f"this tenant has {used} {_WHAT[quota]} {when}, allowed are {limit}"
    return QuotaError(429, detail, quota, used, limit, {"Retry-After": str(seconds)})
