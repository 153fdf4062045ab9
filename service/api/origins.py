"""By which names the server answers, and whose pages may have a browser change something.

A page whose own name is made to point here (DNS rebinding) asks under that name. A page of another
origin may send forms here without asking, and the browser says whence they come.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import problem_response
from service.refusals import ProblemError

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})  # none: typed by a person
_ANY = "*"


class OriginMiddleware:
    """Refuses what comes under another name than `allowed`, and changes that a page of another
    origin asks for. Loopback names and IP addresses are always allowed: nobody else can have them.
    Belongs inside of `RequestMiddleware`, which gives refusals their id.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await problem_response(Request(scope), refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemError | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) > 1 or not all(map(self._is_ours, hosts)):  # HTTP/1.0 may have none
            return ProblemError(
                421,
                f"this server does not answer as {', '.join(hosts)[:100]!r}; "
                "NASMITH_ALLOWED_HOSTS names the hosts that it does",
                title="Misdirected Request",
                kind="misdirected-request",
            )
        if scope["method"] not in _READING and not self._is_from_here(headers):
            return ProblemError(
                403, "a page of another origin may change nothing here", kind="cross-origin"
            )
        return None

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        return name is not None and (
            _ANY in self._allowed or name in self._allowed or _is_loopback_or_address(name)
        )

    def _is_from_here(self, headers: Headers) -> bool:
        """No browser: no such header. A proxy may have put another Host, so that the browser's own
        word counts first, then an origin that is allowed by name.
        """
        if (site := headers.get("sec-fetch-site")) is not None:
            return site in _OWN_SITE
        origins = headers.getlist("origin")
        if not origins:
            return True
        if len(origins) > 1 or "://" not in origins[0]:  # "null" too
            return False
        origin = origins[0].partition("://")[2].lower()
        return origin == headers.get("host", "").lower() or _name(origin) in self._allowed


def _name(host: str) -> str | None:
    """Without port and brackets, in small letters; None: not the name of a host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or "@" in host or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _is_loopback_or_address(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: no resolver is asked
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
