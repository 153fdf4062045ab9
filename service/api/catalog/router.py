"""`/v1/catalog` and `/v1/search-spaces/validate`."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from fastapi import APIRouter, Request, Response

from service.api.catalog.content import catalog
from service.api.catalog.schemas import Catalog
from service.api.datasets.lookup import lookup_of
from service.api.etags import IfNoneMatch, is_held
from service.api.json_body import JsonBody
from service.api.problems import problems
from service.api.requests import StrictRoute
from service.api.searches.schemas import SpaceDryRun
from service.api.searches.validation import dry_run_of_space
from service.api.security import TenantDep, needs
from service.api.turns import dear
from service.sql.api_keys import Scope

router = APIRouter(prefix="/v1", tags=["catalog"], route_class=StrictRoute)


@router.get(
    "/catalog",
    operation_id="getCatalog",
    summary="What a request can name",
    response_model=Catalog,
    responses={304: {"description": "Nothing new"}, **problems(422)},
)
def read_catalog(tenant: TenantDep, if_none_match: IfNoneMatch = None) -> Response:
    """Families, operations, strategies, optimizers, presets, datasets, tasks and metrics, with the
    JSON Schema of the settings of each.
    """
    content, etag = _rendered()
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_held(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


@router.post(
    "/search-spaces/validate",
    operation_id="validateSpace",
    summary="The dry run of a space alone",
    responses=problems(400, 413, 415, 422),
    openapi_extra={"requestBody": {"$ref": "SpaceRequest"}},
)
@needs(Scope.READ)
async def validate_space(body: JsonBody, request: Request, tenant: TenantDep) -> SpaceDryRun:
    """How many networks a space holds, and three of them with their cost. Stores nothing."""
    lookup = lookup_of(request, tenant)
    return SpaceDryRun.model_validate(
        await dear(request).trying.take(dry_run_of_space, body, lookup)
    )


@lru_cache(1)
def _rendered() -> tuple[bytes, str]:
    content = catalog().model_dump_json().encode()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
