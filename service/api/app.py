"""The API as an ASGI application. It never imports Ray, and torch only when it is needed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response

from models.asking import WarmModels
from models.converting import Conversions
from service.api.artifacts.router import router as artifacts
from service.api.callers import Callers
from service.api.catalog.content import catalog
from service.api.catalog.router import router as catalog_router
from service.api.dashboard.assets import router as dashboard_assets
from service.api.dashboard.browsing import router as browsing
from service.api.dashboard.searching import router as searching
from service.api.dashboard.signing_in import router as signing_in
from service.api.datasets import intake
from service.api.datasets.intake import Intake, give_up_lost_uploads
from service.api.datasets.router import router as datasets
from service.api.drawings.router import router as drawings
from service.api.events.revisions import Revisions
from service.api.events.router import NothingLeftError
from service.api.events.router import router as events
from service.api.events.watcher import Watcher
from service.api.health.absence import tell_absence
from service.api.health.router import router as health
from service.api.keys.router import router as keys
from service.api.memory.router import router as memory
from service.api.methods import HeadMiddleware
from service.api.metrics import Metrics
from service.api.middleware import RequestMiddleware
from service.api.openapi.docs import router as docs
from service.api.openapi.document import install_openapi
from service.api.origins import OriginMiddleware
from service.api.predictions.router import router as predictions
from service.api.problems import install_handlers
from service.api.quota.quotas import Quotas
from service.api.quota.router import router as quota
from service.api.reports.router import router as reports
from service.api.root.router import router as root
from service.api.root_path import RootPathMiddleware
from service.api.searches import validation
from service.api.searches.router import router as searches
from service.api.security import guard
from service.api.trials.reporting import Reports
from service.api.trials.router import router as trials
from service.api.turns import Dear
from service.api.webhooks.router import router as webhooks
from service.settings import ServiceSettings
from service.sql.database import connect
from service.store.store import Store
from service.tracing import Traces, of_requests

_OTHER_CONNECTIONS = 12
"""Of the pool: for uploads, dear work and what looks around. As many threads as there are others
answer requests: a thread that waits for a connection is overtaken by those that come later.
"""

_FIRST_ANSWERS_SECONDS = 0.3
"""In which whoever waits for the server has asked whether it is ready: importing torch holds up
every thread.
"""

_FIRST_SEARCH_SECONDS = 15.0
"""In which whoever waits for the first trial has every core: the rest of the imports comes then, if
no dry run has asked for it.
"""

log = structlog.get_logger("nasmith.api")


def create_app(settings: ServiceSettings, on_warm: Callable[[], None] | None = None) -> FastAPI:
    """The application on a migrated database; `app.state` holds what its routes need. `on_warm`:
    called when what requests need is imported, and again when the rest of it is.
    """
    traces = Traces(settings, "api")
    app = FastAPI(
        title="Nasmith",
        summary="Neural architecture search as a service",
        version=importlib.metadata.version("nasmith"),
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=of_requests(traces),
        dependencies=[Depends(guard)],
    )
    app.state.traces = traces
    app.state.settings = settings
    app.state.on_warm = on_warm
    app.state.sessions = connect(settings.database_url, connections=settings.database_connections)
    app.state.callers = Callers(app.state.sessions, asks=settings.auth == "keys")
    app.state.quotas = Quotas(settings)
    app.state.store = Store(settings.store_url)
    app.state.reports = Reports(app.state.sessions, settings.store_url)
    app.state.intake = Intake(settings, app.state.sessions, app.state.store, app.state.quotas)
    app.state.metrics = Metrics(app.state.sessions)
    app.state.models = WarmModels()
    app.state.dear = Dear()
    app.state.conversions = Conversions()
    for router in (
        health,  # routes are built when they are asked for, in this order: this is asked first
        searches,
        trials,
        memory,
        drawings,
        reports,
        artifacts,
        predictions,
        events,
        datasets,
        catalog_router,
        keys,
        quota,
        webhooks,
        root,
        docs,
        dashboard_assets,
        signing_in,
        searching,
        browsing,
    ):
        app.include_router(router)
    install_openapi(app)
    install_handlers(app)
    app.add_exception_handler(NothingLeftError, _nothing_left)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(OriginMiddleware, allowed=settings.host_names)
    app.add_middleware(RequestMiddleware, metrics=app.state.metrics)
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServiceSettings = app.state.settings
    to_thread.current_default_thread_limiter().total_tokens = max(
        settings.database_connections - _OTHER_CONNECTIONS, 1
    )
    watcher = Watcher(app.state.sessions)
    app.state.watcher = watcher
    app.state.revisions = Revisions(app.state.sessions)
    tasks = [
        asyncio.create_task(watcher.run()),
        asyncio.create_task(tell_absence(app.state.sessions)),
        asyncio.create_task(give_up_lost_uploads(app.state.intake)),
    ]
    is_over = threading.Event()
    warming = threading.Thread(target=_warm_up, args=(app, is_over), name="warm-up", daemon=True)
    begin = asyncio.get_running_loop().call_later(_FIRST_ANSWERS_SECONDS, warming.start)
    try:
        yield
    finally:
        begin.cancel()
        is_over.set()
        watcher.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await app.state.intake.close()
        await app.state.callers.close()
        await asyncio.to_thread(app.state.models.close)
        await asyncio.to_thread(app.state.conversions.close)
        if warming.ident is not None:
            await asyncio.to_thread(warming.join)
        await asyncio.to_thread(app.state.traces.close)
        app.state.sessions.engine.dispose()


def _warm_up(app: FastAPI, is_over: threading.Event) -> None:
    """Import torch, read the registries and build the routes while the server already answers."""
    on_warm = app.state.on_warm or (lambda: None)
    try:
        validation.warm_up()
        catalog()
        intake.warm_up()
        for (
            route
        ) in app.router.routes:  # each router is built when it is first asked: 0.1 s for all
            route.matches({"type": "http", "method": "GET", "path": "/", "headers": []})
        on_warm()
        if not is_over.wait(_FIRST_SEARCH_SECONDS):
            validation.warm_up_costs()
    except Exception:
        log.exception("the server could not warm up")
    finally:
        on_warm()


async def _nothing_left(request: Request, error: Exception) -> Response:
    return Response(status_code=204)
