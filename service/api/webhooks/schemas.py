"""Webhooks as tenants see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.sql.states import DeliveryState
from service.sql.tables import Webhook, WebhookDelivery
from service.sql.webhooks import EVENTS


class WebhookEvent(StrEnum):
    SUCCEEDED, FAILED, CANCELLED = EVENTS


def _usable(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_one = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not url.isascii() or any(mark <= " " or mark == "\x7f" for mark in url):
        raise PydanticCustomError("url", "is no URL of a server; expected https://...")
    if "@" in parts.netloc or parts.fragment:
        raise PydanticCustomError("url", "has a user or a fragment, which is not sent")
    return url


class WebhookRequest(BaseModel):
    """A new webhook."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, AfterValidator(_usable)] = Field(
        max_length=2000, description="https, in ASCII; it gets a POST for each event"
    )
    events: list[WebhookEvent] = Field(
        list(WebhookEvent), min_length=1, max_length=len(WebhookEvent), description="of which"
    )


class WebhookRead(BaseModel):
    id: str
    url: str
    events: list[WebhookEvent]
    created_at: datetime

    @classmethod
    def of(cls, row: Webhook) -> WebhookRead:
        events = [WebhookEvent(event) for event in row.events]
        return cls(id=row.id, url=row.url, events=events, created_at=row.created_at)


class WebhookCreated(WebhookRead):
    secret: str = Field(description="signs what is sent; shown now and never again")


class WebhookList(BaseModel):
    items: list[WebhookRead]


class DeliveryRead(BaseModel):
    """A message, and what became of it."""

    id: str = Field(description="`webhook-id` of the message, the same at each attempt")
    type: WebhookEvent
    search: str
    state: DeliveryState = Field(description="dead: it has not arrived and is given up")
    attempts: int
    status: int | None = Field(description="of the last answer; null: there was none")
    error: str | None = Field(description="of the last attempt")
    payload: dict[str, Any] = Field(description="the body")
    created_at: datetime
    next_at: datetime | None = Field(description="of the next attempt; null: there is none")
    ended_at: datetime | None = Field(description="when it arrived or was given up")

    @classmethod
    def of(cls, row: WebhookDelivery) -> DeliveryRead:
        return cls(
            id=row.id,
            type=WebhookEvent(row.type),
            search=row.search_id,
            state=row.state,
            attempts=row.attempts,
            status=row.status,
            error=row.error,
            payload=row.payload,
            created_at=row.created_at,
            next_at=row.next_at,
            ended_at=row.ended_at,
        )


class DeliveryPage(BaseModel):
    items: list[DeliveryRead]
    next_page_token: str | None = Field(description="null: this was the last page")
