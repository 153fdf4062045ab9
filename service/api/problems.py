"""Every refusal is a problem document (RFC 9457), the framework's own included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from service.api.root_path import path_within
from service.refusals import InvalidError, Part, ProblemError, ProblemItem, item, pointer
from service.sql.outages import is_outage

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
MAX_REFUSAL_BYTES = 64 * 1024
_LONGEST_PATH = 1000
TYPE_PREFIX = "urn:nasmith:problem:"

log = structlog.get_logger("nasmith.api")


class Problem(BaseModel):
    """A problem document of RFC 9457; some kinds have members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URI of the kind of problem")
    title: str = Field(description="the kind of problem in words")
    status: int = Field(description="the HTTP status", ge=400, le=599)
    detail: str = Field(description="what happened this time")
    instance: str = Field(description="the path that was asked for")
    errors: list[ProblemItem] | None = Field(
        None, description="with status 422: everything that is wrong, the first 100 of it"
    )
    error_count: int | None = Field(None, description="how many errors there are", ge=1)


def problem_response(request: Request, error: ProblemError) -> Response:
    """Of `MAX_REFUSAL_BYTES` at most: of many long errors it has the first."""
    problem = Problem(
        type=TYPE_PREFIX + error.kind,
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=request.url.path[:_LONGEST_PATH],
        errors=None if error.errors is None else list(error.errors),
    )
    document = problem.model_dump(by_alias=True, exclude_none=True) | error.extensions
    while len(content := _json(document)) > MAX_REFUSAL_BYTES and document.get("errors"):
        document["errors"] = document["errors"][: len(document["errors"]) // 2]
    return Response(
        content=content,
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **error.headers},
    )


def internal_error(reference: str) -> ProblemError:
    """A fault of ours: the traceback is in the log under `reference`, never in the answer."""
    return ProblemError(
        500,
        f"the server made a mistake; its log tells more under {reference}",
        kind="internal-error",
        reference=reference,
    )


def install_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(SQLAlchemyError, _database)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - what it is registered for
    return problem_response(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path[:_LONGEST_PATH]}"
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allowed})
        headers["Allow"] = allowed
        detail = f"{request.method} is not possible here; possible are {allowed}"
    return problem_response(request, ProblemError(error.status_code, detail, headers=headers))


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    return problem_response(request, InvalidError(invalid_items(error.errors())))


def invalid_items(errors: Iterable[Mapping[str, Any]]) -> list[ProblemItem]:
    """What pydantic says of the parts of a request."""
    items = []
    for found in errors:
        part, *path = found["loc"]
        received = found.get("input")
        shown = f", got {str(received)[:100]!r}" if isinstance(received, str | int | float) else ""
        kind: Part = part if part in ("query", "path", "header", "body") else "body"
        items.append(item(kind, pointer(path), f"{found['msg']}{shown}"))
    return items


async def _database(request: Request, error: Exception) -> Response:
    if "disk is full" in str(error) or "No space left" in str(error):
        log.error("the disk of the database is full", error=str(error))
        full = ProblemError(507, "the database has no space left; nothing was changed")
        return problem_response(request, full)
    if not is_outage(error):
        raise error
    log.warning("the database is away", error=str(error).splitlines()[0])
    away = ProblemError(
        503,
        "the database cannot be reached; nothing was changed",
        kind="database-away",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
    return problem_response(request, away)


def _methods(request: Request) -> list[str]:
    """The methods of every route that matches the path; HEAD goes with GET, OPTIONS with all."""
    path, methods = path_within(request), {"OPTIONS"}
    for context in iter_route_contexts(request.app.routes):
        route = context.original_route
        if isinstance(route, Route | APIRoute) and route.path_regex.match(path):
            methods |= set(route.methods or ())
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with these statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in (*statuses, 500)
    }
