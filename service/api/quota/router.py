"""`/v1/quota`."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.api.problems import problems
from service.api.quota.quotas import quotas_of
from service.api.quota.schemas import QuotaRead
from service.api.requests import ReadingDep, StrictRoute
from service.api.security import TenantDep

router = APIRouter(prefix="/v1/quota", tags=["keys"], route_class=StrictRoute)


@router.get(
    "",
    operation_id="getQuota",
    summary="What is used, and what may be",
    responses=problems(422, 503),
)
def read_quota(request: Request, session: ReadingDep, tenant: TenantDep) -> QuotaRead:
    """Of the tenant that asks."""
    return quotas_of(request).read(session, tenant)
