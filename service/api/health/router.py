"""`/healthz`, `/readyz`, `/version` and `/metrics`."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import lru_cache
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import generate_latest
from pydantic import BaseModel

from service.api.metrics import Metrics
from service.api.problems import RETRY_AFTER_SECONDS, problems
from service.api.requests import StrictRoute, get_sessions
from service.refusals import ProblemError
from service.sql.database import is_migrated

router = APIRouter(tags=["health"], route_class=StrictRoute)

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    status: Literal["ok"]


class Version(BaseModel):
    """Versions of the parts that shape results."""

    nasmith: str
    python: str
    torch: str
    ray: str


@router.get("/healthz", operation_id="getHealth", responses=problems(422))
async def health() -> Health:
    """The process answers. Asks nothing of the database."""
    return Health(status="ok")


@router.get("/readyz", operation_id="getReadiness", responses=problems(422, 503))
def readiness(request: Request) -> Health:
    """The database can be reached and has the schema of this version."""
    with get_sessions(request).read() as session:
        if not is_migrated(session.connection()):
            raise ProblemError(
                503,
                "the database has another schema than this version needs: migrate it",
                kind="not-migrated",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
    return Health(status="ok")


@router.get("/version", operation_id="getVersion", responses=problems(422))
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
def metrics(request: Request) -> Response:
    """Requests, searches by state, the queue."""
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
