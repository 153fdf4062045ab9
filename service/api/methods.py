"""HEAD wherever there is GET (RFC 9110, section 9.3.2): its head, without a body."""

from __future__ import annotations

from anyio import CancelScope
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Routes know GET alone. A body that is sent in parts, like an endless stream of events, is
    not waited for. Belongs inside of `RequestMiddleware`, which hands on a scope that may change.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        scope["method"] = "GET"

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
            elif message.get("more_body", False):
                body.cancel()

        with CancelScope() as body:
            await self._app(scope, receive, send_head)
