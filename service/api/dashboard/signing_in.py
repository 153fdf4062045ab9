"""Coming in with a key, and going out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.api.callers import Callers
from service.api.cookies import forget, remember
from service.api.dashboard.views import PageRoute, render
from service.api.root_path import RootPath
from service.api.security import needs, open_to_all
from service.refusals import ProblemError
from service.sql.api_keys import Scope

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

_INSIDE = "/dashboard"


@router.get("/login")
@open_to_all
async def ask(request: Request, next: Annotated[str, Query(max_length=300)] = _INSIDE) -> Response:
    return render(request, "login.html", next=_inside(next), wrong=None)


@router.post("/login")
@open_to_all
async def log_in(
    request: Request,
    root: RootPath,
    key: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=300)] = _INSIDE,
) -> Response:
    """The key is kept in a cookie that no script reads and no other site makes a browser send."""
    callers: Callers = request.app.state.callers
    key, next = key.strip(), _inside(next)
    try:
        await callers.of(f"Bearer {key}")
    except ProblemError as error:
        return render(request, "login.html", error.status, next=next, wrong=error.detail)
    response = RedirectResponse(root + next, 303)
    if callers.asks:
        remember(response, request, key)
    return response


@router.post("/logout")
@needs(Scope.READ)
async def log_out(request: Request, root: RootPath) -> Response:
    response = Response(status_code=204, headers={"HX-Redirect": f"{root}/dashboard/login"})
    forget(response, request)
    return response


def _inside(path: str) -> str:
    """Nothing but a page of the dashboard: who follows a link to the login is led nowhere else."""
    is_ours = path == _INSIDE or path.startswith(f"{_INSIDE}/")
    return path if is_ours and "\\" not in path and "\n" not in path else _INSIDE
