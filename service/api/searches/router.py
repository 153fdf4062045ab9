"""`/v1/searches`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from models.architecture import sha256_of
from service.api.callers import Callers
from service.api.cookies import authorization_of
from service.api.datasets.lookup import lookup_of
from service.api.etags import IfNoneMatch, is_held, weak
from service.api.events.revisions import Revisions
from service.api.events.watcher import Watcher
from service.api.json_body import JsonBody
from service.api.pages import (
    DEFAULT_SIZE,
    PageSize,
    PageToken,
    decode_id,
    encode_token,
)
from service.api.problems import problems
from service.api.quota.quotas import Quotas, quotas_of
from service.api.requests import ReadingDep, SearchId, SessionDep, StrictRoute, get_sessions
from service.api.root_path import RootPath
from service.api.searches import actions, validation
from service.api.searches.schemas import DryRun, SearchPage, SearchRead
from service.api.security import TenantDep
from service.api.turns import dear
from service.identifiers import is_search_id
from service.refusals import InvalidError, item
from service.sql.database import Sessions
from service.sql.datasets import DatasetRepository
from service.sql.searches import KeyTakenError, SearchRepository, Submission, trials_of
from service.sql.states import SearchState
from service.sql.tables import Search
from service.store.store import Store

router = APIRouter(
    prefix="/v1/searches",
    tags=["searches"],
    route_class=StrictRoute,
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="the client's own text: the same key and body give the same search again",
    ),
]


@router.post(
    "",
    operation_id="createSearch",
    summary="Submit a search",
    status_code=202,
    response_model=SearchRead,
    responses={
        200: {"model": DryRun, "description": "The dry run"},
        **problems(400, 413, 415, 422, 503, 507),
    },
    openapi_extra={"requestBody": {"$ref": "SearchSpec"}},
)
async def create_search(
    body: JsonBody,
    request: Request,
    tenant: TenantDep,
    root: RootPath,
    dry_run: Annotated[bool, Query(description="only say what it would mean")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queue a search. With `dry_run`, nothing is stored and the answer is its size and cost."""
    sessions, lookup = get_sessions(request), lookup_of(request, tenant)
    given = (body, lookup, sessions, tenant)
    if dry_run:
        return JSONResponse(await dear(request).trying.take(validation.dry_run, *given))
    search, digest = await run_in_threadpool(_earlier, sessions, tenant, idempotency_key, body)
    if search is None:
        accepted = await dear(request).submitting.take(validation.submission, *given)
        search = await run_in_threadpool(
            _queued, accepted, sessions, tenant, quotas_of(request), idempotency_key, digest
        )
    return _accepted(search, root)


def _earlier(
    sessions: Sessions, tenant: str, key: str | None, body: object
) -> tuple[Search | None, str]:
    """What was posted with this key before, and what tells the body from others."""
    digest = sha256_of(body)
    if key is None:
        return None, digest
    with sessions.read() as session, _one_body_a_key(key):
        return SearchRepository(session, tenant).submitted(key, digest), digest


def _queued(
    accepted: Submission,
    sessions: Sessions,
    tenant: str,
    quotas: Quotas,
    key: str | None,
    digest: str,
) -> Search:
    with _one_body_a_key(key), sessions.begin() as session:
        if accepted.names_upload:
            DatasetRepository(session, tenant).hold(
                accepted.spec.dataset, accepted.dataset_fingerprint
            )
        quotas.admit_search(session, tenant, trials_of(accepted.spec))
        search, is_new = SearchRepository(session, tenant).submit(accepted, key, digest)
        if is_new and accepted.taken_over:
            from service.sql.warm_start import take_over  # imports torch

            take_over(session, search, accepted.taken_over)
        if is_new and accepted.memory:
            from service.sql.memory import write_down  # imports torch

            write_down(session, search, accepted.memory)
    return search


@contextmanager
def _one_body_a_key(key: str | None) -> Iterator[None]:
    try:
        yield
    except KeyTakenError:
        message = (
            f"{key!r} belongs to a search that was posted with another body; "
            "another search needs another key"
        )
        raise InvalidError([item("header", "/Idempotency-Key", message)]) from None


@router.get(
    "",
    operation_id="listSearches",
    summary="List searches, newest first",
    responses=problems(422, 503),
)
def list_searches(
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
    state: Annotated[SearchState | None, Query(description="only searches in this state")] = None,
    page_size: PageSize = DEFAULT_SIZE,
    page_token: PageToken = None,
) -> SearchPage:
    filters = {"state": state}
    before = decode_id(page_token, filters, is_search_id)
    rows = SearchRepository(session, tenant).page(page_size + 1, before=before, state=state)
    shown = rows[:page_size]
    return SearchPage(
        items=[SearchRead.of(row, root) for row in shown],
        next_page_token=encode_token(shown[-1].id, filters) if len(rows) > page_size else None,
    )


@router.get(
    "/{search_id}",
    operation_id="getSearch",
    summary="One search; waits for news on request",
    response_model=SearchRead,
    responses={304: {"description": "Nothing new"}, **problems(404, 422, 503)},
)
async def read_search(
    search_id: SearchId,
    request: Request,
    tenant: TenantDep,
    root: RootPath,
    wait: Annotated[
        int, Query(ge=0, le=60, description="seconds to wait for a change, or for the end")
    ] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """With `wait`, the answer comes when the search is no longer as If-None-Match says (without
    that header: as it is now), when it has ended, or when the time is over.
    """
    sessions = get_sessions(request)

    def answer() -> Response:
        with sessions.read() as session:
            return _answer(SearchRepository(session, tenant).get(search_id), root)

    if if_none_match is None and not wait:
        return await run_in_threadpool(answer)
    revisions: Revisions = request.app.state.revisions
    revision = await revisions.of(tenant, search_id)
    is_news = if_none_match is not None and not is_held(if_none_match, weak(revision.number))
    if wait and not revision.has_ended and not is_news:
        watcher: Watcher = request.app.state.watcher
        await watcher.change(search_id, revision.number, wait)
        callers: Callers = request.app.state.callers
        await callers.of(authorization_of(request))  # the key may be revoked by now
        revision = await revisions.of(tenant, search_id)
    if is_held(if_none_match, weak(revision.number)):
        return Response(status_code=304, headers=_headers(revision.number))
    return await run_in_threadpool(answer)


@router.patch(
    "/{search_id}",
    operation_id="updateSearch",
    summary="Change name, budget or parallel trials",
    responses=problems(400, 404, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": {"$ref": "SearchPatch"}},
)
def update_search(
    search_id: SearchId,
    body: JsonBody,
    request: Request,
    session: SessionDep,
    tenant: TenantDep,
    root: RootPath,
) -> SearchRead:
    """A JSON merge patch (RFC 7396) of `name`, `budget.trials`, `budget.seconds` and
    `resources.parallel_trials` of a search that has not ended: what is left out stays, a budget of
    `null` seconds is none. A running search follows within a second.
    """
    search = SearchRepository(session, tenant).get(search_id, lock=True)
    before, spec = validation.patched(search.spec, body)
    quotas_of(request).admit_trials(session, tenant, trials_of(spec) - trials_of(before))
    actions.update(session, search, before, spec)
    return SearchRead.of(search, root)


@router.delete(
    "/{search_id}",
    operation_id="deleteSearch",
    summary="Delete an ended search",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409, 422, 503),
)
def delete_search(search_id: SearchId, request: Request, tenant: TenantDep) -> Response:
    """With its trials, events and files."""
    with get_sessions(request).begin() as session:
        repository = SearchRepository(session, tenant)
        search = repository.get(search_id, lock=True)
        actions.require_ended(search)
        paths = repository.delete(search)
    store: Store = request.app.state.store
    store.remove([*paths, f"artifacts/{search_id}", f"checkpoints/{search_id}"])
    return Response(status_code=204)


def _action(name: str, summary: str) -> dict[str, Any]:
    return {
        "path": f"/{{search_id}}/{name}",
        "operation_id": f"{name}Search",
        "summary": summary,
        "status_code": 202,
        "response_model": SearchRead,
        "responses": problems(404, 409, 422, 503),
    }


@router.post(**_action("cancel", "End a search; its results stay"))
def cancel_search(
    search_id: SearchId, session: SessionDep, tenant: TenantDep, root: RootPath
) -> Response:
    """A search that does not run is cancelled at once, a running one within seconds."""
    search = SearchRepository(session, tenant).get(search_id, lock=True)
    actions.cancel(session, search)
    return _accepted(search, root)


@router.post(**_action("pause", "Hold a search"))
def pause_search(
    search_id: SearchId, session: SessionDep, tenant: TenantDep, root: RootPath
) -> Response:
    """Trials that run are finished, no further one is started."""
    search = SearchRepository(session, tenant).get(search_id, lock=True)
    actions.pause(session, search)
    return _accepted(search, root)


@router.post(**_action("resume", "Go on with a paused search"))
def resume_search(
    search_id: SearchId, session: SessionDep, tenant: TenantDep, root: RootPath
) -> Response:
    """The search goes back to the queue and on from where it was."""
    search = SearchRepository(session, tenant).get(search_id, lock=True)
    actions.resume(session, search)
    return _accepted(search, root)


def _headers(revision: int) -> dict[str, str]:
    return {"ETag": weak(revision), "Cache-Control": "no-cache"}


def _answer(search: Search, root: str, status: int = 200, **headers: str) -> Response:
    return Response(
        SearchRead.of(search, root).model_dump_json(),
        status_code=status,
        media_type="application/json",
        headers={**_headers(search.revision), **headers},
    )


def _accepted(search: Search, root: str) -> Response:
    return _answer(search, root, 202, Location=f"{root}/v1/searches/{search.id}")
