"""Bundles: trained models to download."""

from __future__ import annotations

import base64
import os
import zipfile
from pathlib import Path
from typing import IO, Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from models.converting import (
    Conversions,
    ConversionsBusyError,
    NoSuchFormError,
    TooSlowError,
)
from service.api.etags import IfNoneMatch, is_held
from service.api.problems import problems
from service.api.requests import (
    SearchId,
    StrictRoute,
    TrialNumber,
    get_sessions,
)
from service.api.security import TenantDep
from service.api.trials.ranking import best_items
from service.api.turns import NoTurnError, dear
from service.refusals import ConflictError, ProblemError
from service.sql.artifacts import ArtifactRepository
from service.sql.searches import SearchRepository
from service.sql.states import SearchState
from service.sql.tables import Artifact, Search
from service.sql.trials import TrialRepository
from service.store.store import DamagedError, MissingError, Store, chunks

Form = Literal["onnx", "pt2"]

router = APIRouter(
    prefix="/v1/searches/{search_id}",
    tags=["artifacts"],
    route_class=StrictRoute,
)
log = structlog.get_logger("nasmith.artifacts")

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The bundle is held already"},
    **problems(404, 409, 410, 422, 503),
}

_REASONS = {
    SearchState.QUEUED: "the search waits in the queue; its bundle exists when it has succeeded",
    SearchState.RUNNING: "the search is running; its bundle exists when it has succeeded",
    SearchState.PAUSED: "the search is paused; its bundle exists when it has gone on and succeeded",
    SearchState.SUCCEEDED: "the search has succeeded without a trained model to hand out",
    SearchState.FAILED: "the search failed before a bundle was published",
    SearchState.CANCELLED: "the search was cancelled before a bundle was published",
}


@router.get(
    "/best/bundle",
    operation_id="downloadBest",
    summary="The best model",
    response_class=Response,
    responses=_RESPONSES,
)
def download_best(
    search_id: SearchId, request: Request, tenant: TenantDep, if_none_match: IfNoneMatch = None
) -> Response:
    """A zip with the model as plain PyTorch, its weights, its scores and how to use it."""
    return _send(request, best_artifact(request, tenant, search_id), if_none_match)


@router.get(
    "/trials/{number}/bundle",
    operation_id="downloadTrial",
    summary="The model of one of the best trials",
    response_class=Response,
    responses=_RESPONSES,
)
def download_trial(
    search_id: SearchId,
    number: TrialNumber,
    request: Request,
    tenant: TenantDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """By the number of a candidate of `/best`, or of the final trial whose weights it holds."""
    artifact = _artifact_of(request, tenant, search_id, number)
    return _send(request, artifact, if_none_match)


@router.get(
    "/trials/{number}/model/{form}",
    operation_id="downloadTrialAs",
    summary="The model of one of the best trials for another runtime",
    response_class=Response,
    responses={
        200: {
            "description": "`model.onnx` or `model.pt2`",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        **problems(404, 409, 410, 422, 503),
    },
)
async def download_as(
    search_id: SearchId, number: TrialNumber, form: Form, request: Request, tenant: TenantDep
) -> Response:
    """From raw samples to outputs, for any number of samples. What its bundle lacks is made of it,
    which takes some seconds, checked against `model.py`, and kept for a while.
    """
    artifact = await run_in_threadpool(_artifact_of, request, tenant, search_id, number)
    conversions: Conversions = request.app.state.conversions

    def unpack(folder: Path) -> None:
        with read_artifact(request, artifact) as file, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)

    try:
        made = await dear(request).converting.take(
            conversions.open, artifact.sha256, unpack, form, f"model.{form}"
        )
    except NoSuchFormError as error:
        raise ProblemError(409, f"the model has no form {form}: {error}") from None
    except zipfile.BadZipFile:
        raise ProblemError(409, "the stored bundle of the model is no zip") from None
    except TooSlowError as error:
        raise ProblemError(503, str(error)) from None
    except (ConversionsBusyError, NoTurnError) as error:
        raise ProblemError(503, str(error), headers={"Retry-After": "10"}) from None
    size = os.fstat(made.fileno()).st_size
    return _Download(
        made,
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="model.{form}"',
            "Cache-Control": "no-cache",
        },
    )


def _artifact_of(request: Request, tenant: str, search_id: str, number: int) -> Artifact:
    """The bundle of one trial.

    Raises:
        NotFoundError: no such search, or trial.
        ConflictError: it has none, or none yet.
    """
    with get_sessions(request).read() as session:
        search = SearchRepository(session, tenant).get(search_id)
        TrialRepository(session, tenant, search_id).get(number)
        artifact = ArtifactRepository(session, tenant).bundles(search_id).get(number)
    if artifact is None:
        raise _missing(search, number)
    return artifact


def best_artifact(request: Request, tenant: str, search_id: str) -> Artifact:
    """The bundle of the best model.

    Raises:
        NotFoundError: no such search.
        ConflictError: it has no bundle, or none yet.
    """
    with get_sessions(request).read() as session:
        search = SearchRepository(session, tenant).get(search_id)
        bundles = ArtifactRepository(session, tenant).bundles(search_id)
        if not bundles:
            raise _missing(search)
        items = best_items(search, TrialRepository(session, tenant, search_id))
    published = [bundles[found["trial"]] for found in items if found["trial"] in bundles]
    if not published:
        raise _missing(search)
    return published[0]


class _Download(StreamingResponse):
    """A file, closed however the download ends: at its end, or when the client goes away."""

    def __init__(self, file: IO[bytes], **given: Any) -> None:
        super().__init__(chunks(file), **given)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _missing(search: Search, number: int | None = None) -> ConflictError:
    state = SearchState(search.state)
    whose = "the search" if number is None else f"trial {number}"
    reason = _REASONS[state]
    if number is not None and state is SearchState.SUCCEEDED:
        reason = "only the trials of /best have one"
    elif state is SearchState.SUCCEEDED and _looks_up(search.spec["space"]):
        reason = "it has looked up known results and trained no network: none can predict"
    elif search.state_reason:
        reason += f" ({search.state_reason})"
    return ConflictError(
        f"{whose} has no bundle: {reason}", state=state, allowed=[SearchState.SUCCEEDED]
    )


def _looks_up(space: dict[str, Any] | list[dict[str, Any]]) -> bool:
    """Whether a search was of a table: its space is of one family."""
    from search.spaces import TABLE

    return isinstance(space, dict) and space["family"] == TABLE


def read_artifact(request: Request, artifact: Artifact) -> IO[bytes]:
    """The file, whole.

    Raises:
        ProblemError: 410, it was removed from the store; 500, it is damaged.
    """
    if artifact.removed_at is not None:
        raise ProblemError(
            410,
            f"the bundle was removed on {artifact.removed_at:%Y-%m-%d}: this server keeps bundles "
            "for some time after their search has ended; scores and architecture stay, train the "
            "model again",
            kind="bundle-gone",
        )
    store: Store = request.app.state.store
    try:
        return store.read_whole(artifact.path, artifact.sha256)
    except MissingError as error:
        log.error("a bundle is gone", path=artifact.path)
        raise ProblemError(
            410,
            "the bundle was published and its file is not in the store any more: somebody removed "
            "it there; train the model again, or put the file back",
            kind="bundle-gone",
        ) from error
    except DamagedError as error:
        log.error("a bundle is damaged", path=artifact.path, error=str(error))
        raise ProblemError(
            500,
            "the stored bundle is damaged and is not handed out; its SHA-256 differs from the one "
            "that was published",
            kind="damaged-bundle",
        ) from error


def _send(request: Request, artifact: Artifact, if_none_match: str | None) -> Response:
    etag = f'"{artifact.sha256}"'
    if is_held(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    file = read_artifact(request, artifact)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    name = f"nasmith-{artifact.search_id}-{artifact.number}.zip"
    return _Download(
        file,
        media_type="application/zip",
        headers={
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{name}"',
            "ETag": etag,
            "Repr-Digest": f"sha-256=:{digest}:",
            "Cache-Control": "no-cache",
        },
    )
