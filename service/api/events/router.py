"""`/v1/searches/{search_id}/events`: server-sent events, resumable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from service.api.callers import BELIEVED_SECONDS, Callers
from service.api.cookies import authorization_of
from service.api.events.watcher import Watcher
from service.api.problems import problems
from service.api.requests import SearchId, StrictRoute, get_sessions
from service.api.security import TenantDep
from service.sql.events import StoredEvent
from service.sql.searches import SearchRepository
from service.sql.states import ENDED

router = APIRouter(
    prefix="/v1/searches/{search_id}",
    tags=["events"],
    route_class=StrictRoute,
)

RETRY_MS = 1000


class NothingLeftError(Exception):
    """The client has every event of an ended search; 204 tells it not to come back."""


def _checked_event(text: str | None) -> str | None:
    if text is None or (text.isascii() and text.isdecimal() and len(text) <= 18):
        return text
    raise PydanticCustomError("event_id", "allowed is the id of an event: a whole number")


async def _last_event(
    search_id: SearchId,
    request: Request,
    tenant: TenantDep,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="go on after this event; browsers send it by themselves",
            json_schema_extra={"pattern": "^(0|[1-9][0-9]{0,17})$"},
        ),
        AfterValidator(_checked_event),
    ] = None,
) -> int:
    """The number of the last event that the client has; checked before the stream begins."""
    last = int(last_event_id or 0)

    def has_all() -> bool:
        with get_sessions(request).read() as session:
            search = SearchRepository(session, tenant).get(search_id)
        return search.state in ENDED and last >= search.event_sequence

    if await run_in_threadpool(has_all):
        raise NothingLeftError
    return last


@router.get(
    "/events",
    operation_id="streamEvents",
    summary="Follow what happens",
    response_class=EventSourceResponse,
    responses={
        204: {"description": "The search has ended and the client has every event"},
        **problems(404, 422, 503),
    },
)
async def stream_events(
    search_id: SearchId, request: Request, last: Annotated[int, Depends(_last_event)]
) -> AsyncIterator[ServerSentEvent]:
    """Every event of the search from the first on, or after `Last-Event-ID`, without holes; the
    stream ends with the last event of an ended search, or when its key is revoked. `data` is a JSON
    object; a comment every 15 seconds keeps the connection open.
    """
    watcher: Watcher = request.app.state.watcher
    yield ServerSentEvent(comment="nasmith", retry=RETRY_MS)
    events = watcher.follow(search_id, last)
    async for event in _while_known(request, events):
        yield ServerSentEvent(id=str(event.sequence), event=event.type, raw_data=event.payload)


async def _while_known(
    request: Request, events: AsyncIterator[StoredEvent]
) -> AsyncIterator[StoredEvent]:
    """The events until the key of the request is revoked or expires."""
    callers: Callers = request.app.state.callers
    if not callers.asks:
        async for event in events:
            yield event
        return
    key = authorization_of(request)
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while await callers.still_know(key):
            done, _ = await asyncio.wait({coming}, timeout=BELIEVED_SECONDS)
            if not done:
                continue
            if (found := coming.result()) is None:
                return
            yield found
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
