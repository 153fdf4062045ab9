"""`/v1/api-keys`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator

from service.api.callers import Callers
from service.api.json_body import JsonBody, validated
from service.api.keys.schemas import ApiKeyCreated, ApiKeyPage, ApiKeyRead, ApiKeyRequest
from service.api.pages import (
    DEFAULT_SIZE,
    PageSize,
    PageToken,
    decode_id,
    encode_token,
)
from service.api.problems import problems
from service.api.requests import ReadingDep, SessionDep, StrictRoute, get_sessions
from service.api.root_path import RootPath
from service.api.security import CallerDep, needs
from service.identifiers import KEY_ID_PATTERN, is_key_id
from service.refusals import NotFoundError, ProblemError
from service.sql.api_keys import Caller, KeyRepository, Scope, add_key, new_key

router = APIRouter(prefix="/v1/api-keys", tags=["keys"], route_class=StrictRoute)


def _checked_key_id(text: str) -> str:
    if not is_key_id(text):
        raise NotFoundError("API key", text)
    return text


KeyId = Annotated[
    str,
    Path(description="`key_` and a UUIDv7", json_schema_extra={"pattern": KEY_ID_PATTERN}),
    AfterValidator(_checked_key_id),
]
"""Anything else names no key: 404, not 422."""


@router.post(
    "",
    operation_id="createApiKey",
    summary="Make a key",
    status_code=201,
    response_model=ApiKeyCreated,
    responses=problems(400, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": {"$ref": "ApiKeyRequest"}},
)
@needs(Scope.ADMIN)
def create_key(
    body: JsonBody, request: Request, session: SessionDep, caller: CallerDep, root: RootPath
) -> Response:
    """The answer holds the key; of it the server keeps a hash, so that it is shown once."""
    callers: Callers = request.app.state.callers
    if not callers.asks:
        raise ProblemError(
            409,
            "this server asks nobody for a key, so whoever comes could make one that outlives "
            "this; start it with NASMITH_AUTH=keys, which writes the first key of an admin",
            kind="no-authentication",
        )
    wanted = validated(ApiKeyRequest, body)
    tenant = wanted.tenant or caller.tenant_id
    if tenant != caller.tenant_id and not caller.is_of_operator:
        raise ProblemError(403, f"keys of another tenant than {caller.tenant_id!r} are not yours")
    key = new_key()
    row = add_key(session, tenant, key, wanted.name, wanted.scopes, wanted.expires_at)
    made = ApiKeyCreated(**ApiKeyRead.of(row).model_dump(), key=key)
    return Response(
        made.model_dump_json(),
        status_code=201,
        media_type="application/json",
        headers={"Location": f"{root}/v1/api-keys/{row.id}", "Cache-Control": "no-store"},
    )


@router.get(
    "",
    operation_id="listApiKeys",
    summary="List keys, newest first",
    responses=problems(422, 503),
)
@needs(Scope.ADMIN)
def list_keys(
    session: ReadingDep,
    caller: CallerDep,
    page_size: PageSize = DEFAULT_SIZE,
    page_token: PageToken = None,
) -> ApiKeyPage:
    """Those that have expired or were revoked too. Who runs the server sees the keys of all."""
    before = decode_id(page_token, {}, is_key_id)
    rows = KeyRepository(session, _whose(caller)).page(page_size + 1, before=before)
    shown = rows[:page_size]
    return ApiKeyPage(
        items=[ApiKeyRead.of(row) for row in shown],
        next_page_token=encode_token(shown[-1].id, {}) if len(rows) > page_size else None,
    )


@router.get(
    "/{key_id}",
    operation_id="getApiKey",
    summary="One key",
    responses=problems(404, 422, 503),
)
@needs(Scope.ADMIN)
def read_key(key_id: KeyId, session: ReadingDep, caller: CallerDep) -> ApiKeyRead:
    """Everything but the key itself."""
    return ApiKeyRead.of(KeyRepository(session, _whose(caller)).get(key_id))


@router.delete(
    "/{key_id}",
    operation_id="revokeApiKey",
    summary="Revoke a key",
    status_code=204,
    response_class=Response,
    responses=problems(404, 422, 503),
)
@needs(Scope.ADMIN)
def revoke_key(key_id: KeyId, request: Request, caller: CallerDep) -> Response:
    """It opens nothing more, within a second on every server; it stays in the list."""
    with get_sessions(request).begin() as session:
        KeyRepository(session, _whose(caller)).revoke(key_id)
    callers: Callers = request.app.state.callers
    callers.forget()
    return Response(status_code=204)


def _whose(caller: Caller) -> str | None:
    return None if caller.is_of_operator else caller.tenant_id
