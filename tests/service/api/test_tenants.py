"""Another tenant's search does not exist: not in a list, not by its id, not by a key."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from service.api.security import current_caller, current_tenant
from service.settings import ServiceSettings
from tests.service.support.requests import BODY, Driver, problem, submit
from tests.service.support.rows import add_tenant


@pytest.fixture
def other(app: FastAPI, client: TestClient) -> str:
    """From now on requests come from another tenant than those before; its id."""
    return add_tenant(app.state.sessions, "other")


PLACES = {"number": 1, "name": "progress", "action": "cancel", "form": "pt2"}


def become(app: FastAPI, tenant: str) -> None:
    async def tenant_of_request() -> str:
        return tenant

    app.dependency_overrides[current_tenant] = tenant_of_request


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            found += [(method, route.path) for method in sorted(route.methods or ())]
    return found


def test_every_route_of_a_search_is_closed_to_others(
    app: FastAPI, client: TestClient, settings: ServiceSettings, other: str
) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.5)
    driver.retrain(1, 0, 0.6, seed=1)
    driver.publish(1, b"zip", settings.home)
    driver.finish()
    become(app, other)
    tried = 0
    bodies = {"PATCH": {"name": "mine"}, "POST": {"rows": [{}]}}
    for method, path in routes(app):
        if "{search_id}" not in path:
            continue
        url = path.format(search_id=search_id, other_id=search_id, **PLACES)
        needs_body = method == "PATCH" or path.endswith("/predict")
        problem(client.request(method, url, json=bodies[method] if needs_body else None), 404)
        tried += 1
    assert tried >= 12
    become(app, "default")
    mine = client.get(f"/v1/searches/{search_id}").json()
    assert (mine["state"], mine["name"]) == ("succeeded", "digits-cnn_cell-regularized_evolution")
    assert client.get(f"/v1/searches/{search_id}/best/bundle").content == b"zip"


def test_a_list_holds_the_own_searches_alone(app: FastAPI, client: TestClient, other: str) -> None:
    submit(client)
    become(app, other)
    assert client.get("/v1/searches").json()["items"] == []
    own = submit(client)
    assert [item["id"] for item in client.get("/v1/searches").json()["items"]] == [own]


def test_two_tenants_may_use_the_same_key(app: FastAPI, client: TestClient, other: str) -> None:
    headers = {"Idempotency-Key": "same"}
    first = client.post("/v1/searches", json=BODY, headers=headers).json()["id"]
    become(app, other)
    second = client.post("/v1/searches", json={**BODY, "seed": 5}, headers=headers)
    assert second.status_code == 202
    assert second.json()["id"] != first


def test_every_route_of_the_api_asks_who_comes(app: FastAPI) -> None:
    """Those that anybody may call are listed here; a new route is closed or it is not merged."""
    public = {"/", "/healthz", "/readyz", "/version", "/metrics", "/openapi.json"}
    pages = ("login", "logout", "dashboard.css", "htmx.min.js", "sse.min.js")
    public |= {f"/dashboard/{page}" for page in pages}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if (
            not isinstance(route, APIRoute)
            or route.path in public
            or route.path.startswith("/docs")
        ):
            continue
        assert route.path.startswith(("/v1/", "/dashboard")), route.path
        calls, left = set(), [route.dependant]
        while left:
            dependant = left.pop()
            calls.add(dependant.call)
            left += dependant.dependencies
        assert calls & {current_tenant, current_caller}, route.path
