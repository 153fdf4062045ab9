"""The OpenAPI document: FastAPI's, with the bodies that `search` defines and with examples.

Built when it is first asked for, because the schema of a search imports torch.
"""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from service.api.events.schemas import DATA, EVENT, event_schemas
from service.api.keys.schemas import ApiKeyRequest
from service.api.openapi.examples import REQUESTS, RESPONSES
from service.api.predictions.schemas import PredictionRequest
from service.api.problems import MEDIA_TYPE, Problem, problems
from service.api.security import need_of
from service.api.webhooks.schemas import WebhookRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

_REFERENCE = "#/components/schemas/{model}"
_TAGS = [
    {"name": "searches", "description": "Submit a search, watch it, steer it"},
    {"name": "trials", "description": "What was tried, and what was best"},
    {"name": "artifacts", "description": "Trained models to download"},
    {"name": "events", "description": "What happens, as it happens"},
    {"name": "datasets", "description": "Your own data"},
    {"name": "keys", "description": "Who may come in"},
    {"name": "webhooks", "description": "Whom to tell of the end of a search"},
    {"name": "catalog", "description": "What a request can name"},
    {"name": "health", "description": "For operators"},
]
_STREAM = (
    "Server-sent events: each has an `id`, the number of the event; an `event`, its type; and "
    f"`data`, a JSON object whose schema follows from the type. `{EVENT}` describes one event."
)
_DESCRIPTION = """Post a *search*: a search space, a dataset, a training recipe, a strategy and a
budget. Poll or stream its state, and download the best networks as trained models that run without
Nasmith. Every refusal is a problem document (RFC 9457)."""


_API_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `nsk_...`, of `POST /v1/api-keys` or of the server's first start; "
    "its scope is `read` (whatever changes nothing), `write` or `admin`, each with those before.",
}
_NO_KEY = " This server asks nobody for one."
_REFUSALS = (401, 403, 429)
"""Of every route that is not open to all."""

_BEFORE_ROUTES = {
    **{
        str(status): {"description": f"{HTTPStatus(status).phrase}: {why}; without a body"}
        for status, why in (
            (408, "it stayed half-sent for 15 seconds"),
            (431, "64 KiB and 200 fields at most"),
        )
    },
    "421": problems(421)[421],
}
"""Of every route: the server gives them before it looks for one."""


def install_openapi(app: FastAPI) -> None:
    lock = threading.Lock()

    def openapi() -> dict[str, Any]:
        with lock:
            if app.openapi_schema is None:
                app.openapi_schema = _document(app)
            return app.openapi_schema

    setattr(app, "openapi", openapi)  # noqa: B010 - FastAPI's way, and mypy refuses the assignment


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": app.state.settings.root_path or "/", "description": "this server"}],
    )
    asks = app.state.callers.asks
    scheme = {**_API_KEY, "description": _API_KEY["description"] + ("" if asks else _NO_KEY)}
    document["components"]["securitySchemes"] = {"apiKey": scheme}
    document["security"] = [{"apiKey": []}] if asks else [{}, {"apiKey": []}]
    _say_who_may(document["paths"], app)
    schemas = document["components"]["schemas"]
    models: list[type[BaseModel]] = [Problem, *_bodies(), *dict.fromkeys(DATA.values())]
    for model in models:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    schemas |= event_schemas(_REFERENCE)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _say_tasks(schemas)
    for schema in schemas.values():
        _say_defaults(schema)
    for operations in document["paths"].values():
        for operation in operations.values():
            _finish(operation)
    return document


def _say_who_may(paths: dict[str, Any], app: FastAPI) -> None:
    """What a route needs, and the refusals of who does not have it."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not (isinstance(route, APIRoute) and route.include_in_schema):
            continue
        for method in route.methods or ():
            operation, need = paths[route.path][method.lower()], need_of(route.endpoint, method)
            operation["responses"] |= deepcopy(_BEFORE_ROUTES)
            if need is None:
                operation["security"] = []
                continue
            operation["responses"] |= {str(s): r for s, r in problems(*_REFUSALS).items()}
            operation["x-required-scope"] = need.scope.value


def _bodies() -> tuple[type[BaseModel], ...]:
    """The models of request bodies."""
    from search.request.space_request import SpaceRequest
    from search.spec import SearchSpec
    from service.api.searches.validation import patch_model

    bodies = (PredictionRequest, ApiKeyRequest, WebhookRequest)
    return SearchSpec, SpaceRequest, patch_model(), *bodies


def _say_tasks(schemas: dict[str, Any]) -> None:
    """The tasks that there are. The models of answers are made before torch may be imported, which
    a task needs.
    """
    from models.task import TASK_NAMES
    from search.spaces import TABLE

    tasks = {"enum": [*TASK_NAMES, TABLE]}
    for model in ("DatasetRead", "DatasetEntry"):
        schemas[model]["properties"]["task"] |= tasks
    schemas["FamilyEntry"]["properties"]["tasks"]["items"] |= tasks


def _say_defaults(schema: dict[str, Any]) -> None:
    """Defaults that are objects or lists stand in the descriptions: generators of clients refuse
    a field that has such a one, and with it the request.
    """
    for field in schema.get("properties", {}).values():
        if isinstance(field.get("default"), dict | list):
            default = json.dumps(field.pop("default"))
            said = field.get("description")
            field["description"] = f"{said}; default: {default}" if said else f"default: {default}"


def _finish(operation: dict[str, Any]) -> None:
    """Put in what FastAPI cannot know: the body's schema, problem documents, examples; and take
    out what is not OpenAPI 3.1.
    """
    name = operation["operationId"]
    answer = operation["responses"].get("200", {})
    for stream in answer.get("content", {}).values():
        if stream.pop("itemSchema", None) is not None:  # of 3.2
            answer["description"] = _STREAM
    body = operation.get("requestBody", {})
    if "$ref" in body:
        schema = {"$ref": _REFERENCE.format(model=body.pop("$ref"))}
        content: dict[str, Any] = {"schema": schema}
        if name in REQUESTS:
            content["examples"] = REQUESTS[name]
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    for status, response in operation["responses"].items():
        if status == "422":
            response["content"] = {
                MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
            }
        example = RESPONSES.get((name, status)) or RESPONSES.get(("*", status))
        for media_type, content in response.get("content", {}).items():
            if example is not None and "json" in media_type:
                content["example"] = example
