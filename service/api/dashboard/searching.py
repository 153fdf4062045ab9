"""Pages about searches and their trials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from search.trial import TrialState
from service.api.callers import Callers
from service.api.charts.figures import Chart, Point, Series
from service.api.cookies import authorization_of
from service.api.dashboard.views import PageRoute, render, rendered
from service.api.events.revisions import Revisions
from service.api.events.watcher import Watcher
from service.api.pages import PageToken
from service.api.reports.figures import figures
from service.api.reports.page import failures, found
from service.api.reports.shown import read
from service.api.requests import (
    ReadingDep,
    SearchId,
    SessionDep,
    TrialNumber,
    get_sessions,
)
from service.api.root_path import RootPath
from service.api.searches import actions
from service.api.searches.router import list_searches
from service.api.searches.schemas import SearchRead
from service.api.security import TenantDep
from service.api.trials.router import list_trials, read_trial
from service.api.trials.schemas import KindName, TrialRead
from service.refusals import ConflictError, NotFoundError
from service.sql.searches import SearchRepository
from service.sql.states import ENDED

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)

NEWS_SECONDS, CHARTS_SECONDS = 1.0, 10.0
"""At least between two states, and between two drawings, that a page is sent."""

_SILENCE_SECONDS = 15.0
_PAGE = 50
_ACTIONS = {"cancel": actions.cancel, "pause": actions.pause, "resume": actions.resume}


@router.get("")
def show_searches(
    request: Request,
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
    page_token: PageToken = None,
) -> Response:
    """All of them, a page at a time; a page that is open asks for its rows again and again."""
    page = list_searches(session, tenant, root, None, _PAGE, page_token)
    is_part = "hx-request" in request.headers
    template = "searches_part.html" if is_part else "searches.html"
    return render(request, template, page=page, page_token=page_token, here="searches")


@router.get("/searches/{search_id}")
def show_search(
    search_id: SearchId, request: Request, session: ReadingDep, tenant: TenantDep, root: RootPath
) -> Response:
    search = SearchRead.of(SearchRepository(session, tenant).get(search_id), root)
    return render(request, "search.html", here="searches", **_of(search), problem=None)


@router.post("/searches/{search_id}/{action}")
def act(
    search_id: SearchId,
    action: str,
    request: Request,
    session: SessionDep,
    tenant: TenantDep,
    root: RootPath,
) -> Response:
    """Cancel, pause or resume it; the answer is the part of the page with the buttons."""
    if action not in _ACTIONS:
        raise NotFoundError("action", action)
    search, problem = SearchRepository(session, tenant).get(search_id, lock=True), None
    try:
        _ACTIONS[action](session, search)
    except ConflictError as error:
        problem = error.detail
    session.flush()
    session.refresh(search)
    return render(request, "actions_part.html", **_of(SearchRead.of(search, root)), problem=problem)


@router.get("/searches/{search_id}/charts")
def show_charts(
    search_id: SearchId, request: Request, tenant: TenantDep, root: RootPath
) -> Response:
    shown = read(get_sessions(request), request.app.state.reports, tenant, search_id, root)
    return render(
        request,
        "charts_part.html",
        shown=shown,
        search=shown.search,
        figures=figures(shown),
        found=list(found(shown)),
        failures=failures(shown),
    )


@router.get("/searches/{search_id}/trials")
def show_trials(
    search_id: SearchId,
    request: Request,
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
    state: TrialState | None = None,
    kind: KindName | None = None,
    page_token: PageToken = None,
) -> Response:
    search = SearchRead.of(SearchRepository(session, tenant).get(search_id), root)
    page = list_trials(search_id, session, tenant, root, state, kind, _PAGE, page_token)
    return render(
        request,
        "trials.html",
        search=search,
        page=page,
        state=state,
        kind=kind,
        states=[known.value for known in TrialState],
        here="searches",
    )


@router.get("/searches/{search_id}/trials/{number}")
def show_trial(
    search_id: SearchId,
    number: TrialNumber,
    request: Request,
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
) -> Response:
    search = SearchRead.of(SearchRepository(session, tenant).get(search_id), root)
    trial = read_trial(search_id, number, session, tenant, root)
    return render(
        request, "trial.html", search=search, trial=trial, figures=_curves(trial), here="searches"
    )


def _known(search_id: SearchId, session: ReadingDep, tenant: TenantDep) -> str:
    """Checked before the stream begins."""
    SearchRepository(session, tenant).check(search_id)
    return tenant


@router.get("/searches/{search_id}/live", response_class=EventSourceResponse)
async def follow(
    search_id: SearchId, request: Request, tenant: Annotated[str, Depends(_known)], root: RootPath
) -> AsyncIterator[ServerSentEvent]:
    """Parts of the page as they change: `progress`; `actions`, where the state is another one;
    `charts`, that there is something new to draw; and `ended`. It ends with its key.
    """
    revisions: Revisions = request.app.state.revisions
    watcher: Watcher = request.app.state.watcher
    callers: Callers = request.app.state.callers
    sent, drawn_at, shown_state = -1, -CHARTS_SECONDS, ""
    while not watcher.is_closing and await callers.still_know(authorization_of(request)):
        revision = await revisions.of(tenant, search_id)
        if revision.number != sent:
            search = await run_in_threadpool(_read, request, tenant, search_id, root)
            yield _part(request, "progress", search)
            state = f"{search.state} {search.state_reason}"
            if state != shown_state:
                shown_state = state
                yield _part(request, "actions", search)
        if revision.number != sent and (
            revision.has_ended or time.monotonic() - drawn_at >= CHARTS_SECONDS
        ):
            drawn_at = time.monotonic()
            yield ServerSentEvent(event="charts", raw_data="")
        if revision.has_ended:
            yield ServerSentEvent(event="ended", raw_data="")
            return
        sent = revision.number
        await watcher.change(search_id, sent, _SILENCE_SECONDS)
        await asyncio.sleep(NEWS_SECONDS)


def _read(request: Request, tenant: str, search_id: str, root: str) -> SearchRead:
    with get_sessions(request).read() as session:
        return SearchRead.of(SearchRepository(session, tenant).get(search_id), root)


def _part(request: Request, name: str, search: SearchRead) -> ServerSentEvent:
    part = rendered(request, f"{name}_part.html", **_of(search), problem=None)
    return ServerSentEvent(event=name, raw_data=part)


def _of(search: SearchRead) -> dict[str, Any]:
    return {"search": search, "has_ended": search.state in ENDED}


def _curves(trial: TrialRead) -> list[Chart]:
    """One of each metric that its epochs have told."""
    names = list(dict.fromkeys(name for point in trial.curve for name in point.metrics))
    found = [
        (
            name,
            tuple(
                Point(point.epoch, value)
                for point in trial.curve
                if (value := point.metrics.get(name)) is not None
            ),
        )
        for name in names
    ]
    return [
        Chart(
            name=f"curve-{number}",
            title=name,
            says=f"{name} after each epoch.",
            x="epoch",
            y=name,
            series=(Series(name, points),),
        )
        for number, (name, points) in enumerate(found)
        if points and name != "epoch"
    ]
