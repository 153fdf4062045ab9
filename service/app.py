"""The API as an ASGI application. It never imports Ray, and torch only when it is needed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI, Request, Response

from service.artifacts.router import router as artifacts
from service.artifacts.store import Store
from service.catalog.content import catalog
from service.catalog.router import router as catalog_router
from service.database import connect
from service.datasets.intake import Intake
from service.datasets.router import router as datasets
from service.docs.router import router as docs
from service.errors import install_handlers
from service.events.router import NothingLeftError
from service.events.router import router as events
from service.health.metrics import Metrics
from service.health.router import router as health
from service.middleware import RequestMiddleware
from service.openapi import install_openapi
from service.searches import validation
from service.searches.router import router as searches
from service.searches.versions import Versions
from service.settings import ServiceSettings
from service.trials.reporting import Reports
from service.trials.router import router as trials
from service.watcher import Watcher

log = structlog.get_logger("nasmith.api")


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application on a migrated database; `app.state` holds what its routes need."""
    app = FastAPI(
        title="Nasmith",
        summary="Neural architecture search as a service",
        version=importlib.metadata.version("nasmith"),
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.sessions = connect(settings.database_url, connections=settings.database_connections)
    app.state.store = Store(settings.store_url)
    app.state.reports = Reports(app.state.sessions, settings.store_url)
    app.state.intake = Intake(settings, app.state.sessions, app.state.store)
    app.state.metrics = Metrics(app.state.sessions)
    for router in (searches, trials, artifacts, events, datasets, catalog_router, health, docs):
        app.include_router(router)
    install_openapi(app)
    install_handlers(app)
    app.add_exception_handler(NothingLeftError, _nothing_left)
    app.add_middleware(RequestMiddleware, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    watcher = Watcher(app.state.sessions)
    app.state.watcher = watcher
    app.state.versions = Versions(app.state.sessions)
    watching = asyncio.create_task(watcher.run())
    warming = threading.Thread(target=_warm_up, name="warm-up", daemon=True)
    warming.start()
    try:
        yield
    finally:
        watcher.close()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.to_thread(warming.join)
        app.state.sessions.engine.dispose()


def _warm_up() -> None:
    """Import torch and read the registries while the server already answers."""
    try:
        validation.warm_up()
        catalog()
    except Exception:
        log.exception("the server could not warm up")


async def _nothing_left(request: Request, error: Exception) -> Response:
    return Response(status_code=204)
