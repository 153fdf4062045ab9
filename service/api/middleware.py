"""Around every request: an id, a log line, figures, and an answer when something breaks."""

from __future__ import annotations

import logging
import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics import Metrics
from service.api.problems import internal_error, problem_response

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_std_log = logging.getLogger("nasmith.api")
log = structlog.get_logger("nasmith.api")


class RequestMiddleware:
    """Keeps a client's `X-Request-ID`, or gives one; it is in the answer and in every log line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope, method = {**scope}, scope["method"]  # the server goes by its own to the end
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                self._observe(scope, method, status, time.perf_counter() - started)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("a request broke", method=method, path=scope["path"])
                if status:
                    raise  # the answer has begun: only a broken connection can tell the client
                response = problem_response(Request(scope), internal_error(request_id))
                await response(scope, receive, send_with_id)
            seconds = time.perf_counter() - started
            is_news = status >= 400 or method not in ("GET", "HEAD", "OPTIONS")
            if is_news or _std_log.isEnabledFor(logging.DEBUG):  # pollers are many
                (log.info if is_news else log.debug)(
                    "request",
                    method=method,
                    path=scope["path"],
                    status=status,
                    seconds=round(seconds, 4),
                )

    def _observe(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = method if method in _METHODS else "other"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
