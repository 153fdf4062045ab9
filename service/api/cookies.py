"""The key of a person at a browser: a cookie that no page can read and no other site sends.

Who changes something by it proves that a page of ours asked: with a token that is made of the key,
so that nothing has to be kept, and that ends with it.
"""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request, Response

from service.refusals import ProblemError

COOKIE = "nasmith_key"
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - the name of a header
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def authorization_of(request: Request) -> str | None:
    """The Authorization header, or as it would be with the key of the cookie; None: neither."""
    if (header := request.headers.get("authorization")) is not None:
        return header
    key = request.cookies.get(COOKIE)
    return None if key is None else f"Bearer {key}"


def check_token(request: Request) -> None:
    """
    Raises:
        ProblemError: 403, a change by cookie alone, which another page may have asked for.
    """
    key = request.cookies.get(COOKIE)
    if key is None or request.method in _READING or "authorization" in request.headers:
        return
    given = request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode(), token_of(key).encode()):
        raise ProblemError(
            403,
            f"a change by cookie needs the {TOKEN_HEADER} of the page; load it again",
            kind="cross-site-request",
        )


def token_of(key: str) -> str:
    return hmac.new(key.encode(), b"csrf", hashlib.sha256).hexdigest()


def remember(response: Response, request: Request, key: str) -> None:
    """Until the browser is closed."""
    response.set_cookie(
        COOKIE,
        key,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path=_path(request),
    )


def forget(response: Response, request: Request) -> None:
    response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")


def _path(request: Request) -> str:
    return str(request.scope.get("root_path", "")) or "/"
