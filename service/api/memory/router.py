"""`/v1/searches/{search_id}/memory`."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.memory.schemas import MemoryRead
from service.api.problems import problems
from service.api.requests import ReadingDep, SearchId, StrictRoute
from service.api.security import TenantDep
from service.sql.searches import SearchRepository

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["searches"], route_class=StrictRoute)


@router.get(
    "/memory",
    operation_id="getMemory",
    summary="What the search remembers of earlier ones",
    responses=problems(404, 422, 503),
)
def read_memory(search_id: SearchId, session: ReadingDep, tenant: TenantDep) -> MemoryRead:
    """As it was written down when the search was submitted, whatever became of the earlier ones."""
    from service.sql.memory import memory_of  # imports torch

    SearchRepository(session, tenant).check(search_id)
    memory = memory_of(session, tenant, search_id)
    return MemoryRead.model_validate({"items": [found.to_json() for found in memory]})
