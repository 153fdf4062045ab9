"""`/v1/webhooks`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator

from service.api.json_body import JsonBody, validated
from service.api.pages import (
    DEFAULT_SIZE,
    PageSize,
    PageToken,
    decode_id,
    encode_token,
)
from service.api.problems import problems
from service.api.requests import ReadingDep, SessionDep, StrictRoute
from service.api.root_path import RootPath
from service.api.security import TenantDep
from service.api.webhooks.schemas import (
    DeliveryPage,
    DeliveryRead,
    WebhookCreated,
    WebhookList,
    WebhookRead,
    WebhookRequest,
)
from service.identifiers import WEBHOOK_ID_PATTERN, is_message_id, is_webhook_id
from service.refusals import InvalidError, NotFoundError, ProblemError, item
from service.settings import ServiceSettings
from service.sql.states import DeliveryState
from service.sql.webhooks import WebhookRepository
from service.webhooks.addresses import is_public, literal

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=StrictRoute)


def _checked_id(text: str) -> str:
    if not is_webhook_id(text):
        raise NotFoundError("webhook", text)
    return text


WebhookId = Annotated[
    str,
    Path(description="`hook_` and a UUIDv7", json_schema_extra={"pattern": WEBHOOK_ID_PATTERN}),
    AfterValidator(_checked_id),
]
"""Anything else names no webhook: 404, not 422."""


@router.post(
    "",
    operation_id="createWebhook",
    summary="Be told of the end of searches",
    status_code=201,
    response_model=WebhookCreated,
    responses=problems(400, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": {"$ref": "WebhookRequest"}},
)
def create_webhook(
    body: JsonBody, request: Request, session: SessionDep, tenant: TenantDep, root: RootPath
) -> Response:
    """Each event is a POST that is signed as [Standard Webhooks](https://www.standardwebhooks.com)
    says, with the secret of the answer, which is shown once. It is sent until the answer is 2xx, at
    least once, for a day or so; another order is possible. Redirects are not followed.
    """
    settings: ServiceSettings = request.app.state.settings
    if settings.webhooks == "off":
        raise ProblemError(
            409,
            "this server sends no webhooks; who runs it allows them with NASMITH_WEBHOOKS=public",
            kind="webhooks-off",
        )
    wanted = validated(WebhookRequest, body)
    if settings.webhooks == "public":
        _refuse_private(wanted.url)
    row = WebhookRepository(session, tenant).add(wanted.url, wanted.events)
    made = WebhookCreated(**WebhookRead.of(row).model_dump(), secret=row.secret)
    return Response(
        made.model_dump_json(),
        status_code=201,
        media_type="application/json",
        headers={"Location": f"{root}/v1/webhooks/{row.id}", "Cache-Control": "no-store"},
    )


@router.get(
    "",
    operation_id="listWebhooks",
    summary="List webhooks, newest first",
    responses=problems(422, 503),
)
def list_webhooks(session: ReadingDep, tenant: TenantDep) -> WebhookList:
    """All of the tenant; there are few."""
    rows = WebhookRepository(session, tenant).all()
    return WebhookList(items=[WebhookRead.of(row) for row in rows])


@router.get(
    "/{webhook_id}",
    operation_id="getWebhook",
    summary="One webhook",
    responses=problems(404, 422, 503),
)
def read_webhook(webhook_id: WebhookId, session: ReadingDep, tenant: TenantDep) -> WebhookRead:
    """Everything but its secret."""
    return WebhookRead.of(WebhookRepository(session, tenant).get(webhook_id))


@router.delete(
    "/{webhook_id}",
    operation_id="deleteWebhook",
    summary="Be told no more",
    status_code=204,
    response_class=Response,
    responses=problems(404, 422, 503),
)
def delete_webhook(webhook_id: WebhookId, session: SessionDep, tenant: TenantDep) -> Response:
    """With its deliveries; what has not been sent is not."""
    WebhookRepository(session, tenant).delete(webhook_id)
    return Response(status_code=204)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="listWebhookDeliveries",
    summary="What was sent, or is to be, newest first",
    responses=problems(404, 422, 503),
)
def list_deliveries(
    webhook_id: WebhookId,
    session: ReadingDep,
    tenant: TenantDep,
    state: Annotated[
        DeliveryState | None, Query(description="`dead`: those that are given up")
    ] = None,
    page_size: PageSize = DEFAULT_SIZE,
    page_token: PageToken = None,
) -> DeliveryPage:
    """Those that have ended stay for 30 days."""
    filters = {"state": state, "webhook": webhook_id}
    before = decode_id(page_token, filters, is_message_id)
    repository = WebhookRepository(session, tenant)
    rows = repository.deliveries(webhook_id, page_size + 1, before=before, state=state)
    shown = rows[:page_size]
    return DeliveryPage(
        items=[DeliveryRead.of(row) for row in shown],
        next_page_token=encode_token(shown[-1].id, filters) if len(rows) > page_size else None,
    )


def _refuse_private(url: str) -> None:
    """What can be told from the URL alone; names are looked at each time that they are resolved.

    Raises:
        InvalidError: it is not https, or its host is an address that is not public.
    """
    parts = urlsplit(url)
    address = literal(parts.hostname or "")
    if parts.scheme != "https":
        wrong = f"{parts.scheme} is not safe; allowed is https"
    elif address is not None and not is_public(address):
        wrong = f"{address} is not on the public internet, which is refused here"
    else:
        return
    raise InvalidError([item("body", "/url", wrong)])
