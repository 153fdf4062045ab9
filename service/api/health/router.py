"""`/healthz`, `/readyz`, `/version` and `/metrics`."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import lru_cache
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import generate_latest
from pydantic import BaseModel

from service.api.health.readiness import Part, examine
from service.api.metrics import Metrics
from service.api.problems import RETRY_AFTER_SECONDS, problems
from service.api.requests import StrictRoute, get_sessions
from service.api.security import needs, open_to_all
from service.refusals import ProblemError
from service.sql.api_keys import Scope

router = APIRouter(tags=["health"], route_class=StrictRoute)

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(Health):
    parts: list[Part]


class Version(BaseModel):
    """Versions of the parts that shape results."""

    nasmith: str
    python: str
    torch: str
    ray: str


@router.get("/healthz", operation_id="getHealth", responses=problems(422))
@open_to_all
async def health() -> Health:
    """The process answers. Asks nothing of the database."""
    return Health(status="ok")


@router.get("/readyz", operation_id="getReadiness", responses=problems(422, 503))
@open_to_all
def readiness(
    request: Request,
    exclude: Annotated[
        Literal["dispatcher"] | None,
        Query(description="`dispatcher`: is the API ready, whoever runs the searches"),
    ] = None,
) -> Readiness:
    """A search that is posted now would run. If not, the problem names the part that is missing:
    `database`, `migrations`, `store`, `dispatcher` or `ray`.
    """
    parts = examine(get_sessions(request), request.app.state.store)
    if exclude is not None:
        parts = [part for part in parts if part.name not in ("dispatcher", "ray")]
    if missing := [part for part in parts if part.status == "missing"]:
        raise ProblemError(
            503,
            "; ".join(f"{part.name}: {part.detail}" for part in missing),
            kind="not-ready",
            title="Not ready",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            parts=[part.model_dump(mode="json") for part in parts],
        )
    return Readiness(status="ok", parts=parts)


@router.get("/version", operation_id="getVersion", responses=problems(422))
@open_to_all
async def version() -> Version:
    return _version()


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={
        200: {
            "description": "Figures in the format of Prometheus",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(422, 503),
    },
)
@needs(Scope.READ, of_operator=True)
def metrics(request: Request) -> Response:
    """Requests, searches by state, the queue: of all tenants, for those who run the server."""
    figures: Metrics = request.app.state.metrics
    return Response(generate_latest(figures.registry), media_type=_PROMETHEUS)


@lru_cache(1)
def _version() -> Version:
    return Version(
        nasmith=importlib.metadata.version("nasmith"),
        python=platform.python_version(),
        torch=importlib.metadata.version("torch"),
        ray=importlib.metadata.version("ray"),
    )
