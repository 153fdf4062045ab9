"""How every page of the dashboard is answered, refusals included."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.cookies import COOKIE, TOKEN_HEADER, token_of
from service.api.html.environment import environment
from service.api.html.negotiation import prefers_html
from service.api.requests import StrictRoute
from service.api.root_path import path_within
from service.refusals import ProblemError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept",
}
_LOGIN = "/dashboard/login"


class PageRoute(StrictRoute):
    """Tells a person what a program is told as a problem document; who is not known may log in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                return await handle(request)
            except ProblemError as error:
                is_part = "hx-request" in request.headers
                if not (is_part or prefers_html(request.headers.get("accept"))):
                    raise
                return _refused(request, error, is_part)

        return handle_page


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page or a part of one. Every template knows `root`, before all paths; `asks`, whether there
    are keys; `token`, which changes need.
    """
    return HTMLResponse(rendered(request, template, **values), status, headers=_HEADERS)


def rendered(request: Request, template: str, **values: Any) -> str:
    key = request.cookies.get(COOKIE)
    return (
        environment()
        .get_template(template)
        .render(
            root=str(request.scope.get("root_path", "")),
            asks=request.app.state.callers.asks,
            token=None if key is None else token_of(key),
            token_header=TOKEN_HEADER,
            **values,
        )
    )


def _refused(request: Request, error: ProblemError, is_part: bool) -> Response:
    """A part that is not allowed any more leads the whole page to the login."""
    if error.status == 401:
        login = f"{request.scope.get('root_path', '')}{_LOGIN}"
        if is_part:
            return Response(status_code=204, headers={"HX-Redirect": login})
        return RedirectResponse(f"{login}?next={quote(path_within(request))}", 303)
    template = "problem_part.html" if is_part else "problem.html"
    status = 200 if is_part else error.status  # else the part is not shown
    return render(request, template, status, error=error)
