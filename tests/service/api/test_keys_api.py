"""Nobody in who does not belong: every route with every kind of key, and the keys themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import event

from service.api.callers import BELIEVED_SECONDS
from service.settings import ServiceSettings
from service.sql.api_keys import KeyRepository, Scope, add_key, new_key
from service.sql.database import DEFAULT_TENANT
from tests.service.support.requests import BODY, Driver, pointers, problem
from tests.service.support.rows import add_search

OPEN = {
    "/",
    "/healthz",
    "/readyz",
    "/version",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/openapi.json",
    "/dashboard/login",
    "/dashboard/htmx.min.js",
    "/dashboard/sse.min.js",
    "/dashboard/dashboard.css",
}
"""All that anybody may call."""

READING = {
    "/v1/search-spaces/validate",
    "/v1/searches/{search_id}/best/predict",
    "/dashboard/logout",
}
"""Posts that change nothing."""


@dataclass(frozen=True)
class Keys:
    """By scope, of the first tenant and of another one; and keys that open nothing."""

    mine: dict[str, str]
    theirs: dict[str, str]
    ids: dict[str, str]
    bad: dict[str, str]


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """What differs between databases is tested with the rows: tests/service/sql."""
    return str(request.param)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def keys(app: FastAPI) -> Keys:
    mine, theirs = ({scope.value: new_key() for scope in Scope} for _ in range(2))
    expired, revoked = new_key(), new_key()
    past, ids = datetime.now(UTC) - timedelta(seconds=1), {}
    with app.state.sessions.begin() as session:
        for tenant, found in ((DEFAULT_TENANT, mine), ("theirs", theirs)):
            for scope, key in found.items():
                ids[key] = add_key(session, tenant, key, scope, [Scope(scope)]).id
        add_key(session, DEFAULT_TENANT, expired, "expired", [Scope.ADMIN], past)
        row = add_key(session, DEFAULT_TENANT, revoked, "revoked", [Scope.ADMIN])
        KeyRepository(session, DEFAULT_TENANT).revoke(row.id)
    bad = {
        "none": "",
        "unknown": f"Bearer {new_key()}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "no key": "Bearer secret",
        "other scheme": f"Basic {mine['admin']}",
        "no scheme": mine["admin"],
        "cut": f"Bearer {mine['admin'][:-1]}",
        "another case": f"Bearer {mine['admin'].swapcase()}",
    }
    return Keys(mine, theirs, ids, bad)


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything that is not open; nothing else is mounted."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = getattr(route, "path", None)
        if path in OPEN:
            continue
        assert isinstance(route, APIRoute), f"{path} is behind no guard"
        yield from ((method, route.path) for method in sorted(route.methods or ()))


def filled(path: str, search_id: str, key_id: str) -> str:
    return path.format(
        search_id=search_id,
        other_id=search_id,
        number=0,
        name="mine",
        key_id=key_id,
        webhook_id=f"hook_{search_id.removeprefix('srch_')}",
        action="cancel",
        form="pt2",
    )


def test_every_route_is_closed_to_who_has_no_valid_key(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    search_id, key_id = add_search(app.state.sessions), keys.ids[keys.theirs["read"]]
    tried = 0
    for method, path in routes(app):
        url = filled(path, search_id, key_id)
        for kind, header in keys.bad.items():
            headers = {"Authorization": header} if header else {}
            asked = f"{url}?colour=red" if kind == "unknown" else url  # not told that this is wrong
            refused = client.request(method, asked, headers=headers)
            document = problem(refused, 401)
            challenge = refused.headers["www-authenticate"]
            assert challenge.startswith("Bearer"), (method, path, kind)
            assert ("invalid_token" in challenge) == (kind != "none")
            assert "nsk_" not in document["detail"].replace("nsk_...", "")
            tried += 1
    assert tried >= 20 * len(keys.bad)
    with app.state.sessions.read() as session:
        assert KeyRepository(session, None).get(key_id).revoked_at is None


def test_what_is_open_is_open(client: TestClient, keys: Keys) -> None:
    for path in sorted(OPEN):
        for headers in ({}, {"Authorization": keys.bad["unknown"]}):
            assert client.get(path, headers=headers).status_code == 200, path
    for path in ("/v1/nothing", "/v2", "/docs/../v1/searches/"):
        problem(client.get(path), 404)
    assert client.put("/v1/searches").status_code == 405


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_each_scope_opens_what_it_says(
    app: FastAPI, client: TestClient, keys: Keys, scope: str
) -> None:
    """A key of another tenant, so that nothing is there to be changed."""
    search_id, key_id = add_search(app.state.sessions), keys.ids[keys.mine["read"]]
    headers = bearer(keys.theirs[scope])
    for method, path in routes(app):
        status = client.request(method, filled(path, search_id, key_id), headers=headers)
        needed = "read" if method == "GET" or path in READING else "write"
        needed = "admin" if path.startswith("/v1/api-keys") else needed
        order = ["read", "write", "admin"]
        if path == "/metrics":  # of all tenants
            problem(status, 403)
        elif order.index(scope) < order.index(needed):
            problem(status, 403)
            assert f'scope="{needed}"' in status.headers["www-authenticate"]
        else:
            assert status.status_code not in (401, 403), (method, path)


def test_what_another_tenant_has_is_not_there(app: FastAPI, client: TestClient, keys: Keys) -> None:
    search_id, key_id = add_search(app.state.sessions), keys.ids[keys.mine["write"]]
    headers, bodies = bearer(keys.theirs["admin"]), {"PATCH": {"name": "x"}, "POST": {"rows": [{}]}}
    tried = 0
    for method, path in routes(app):
        if "{" in path:
            url = filled(path, search_id, key_id)
            problem(client.request(method, url, headers=headers, json=bodies.get(method)), 404)
            tried += 1
    assert tried >= 18
    mine = client.get(f"/v1/searches/{search_id}", headers=bearer(keys.mine["read"])).json()
    assert (mine["state"], mine["name"]) == ("queued", "of a test")
    for path in ("/v1/searches", "/v1/datasets"):
        own = [
            client.get(path, headers=bearer(found["read"])).json()["items"]
            for found in (keys.mine, keys.theirs)
        ]
        assert not any(item.get("id") == search_id for item in own[1])
    assert client.get("/metrics", headers=bearer(keys.mine["read"])).status_code == 200


def test_a_key_is_made_shown_once_used_and_revoked(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    admin = bearer(keys.theirs["admin"])
    end = datetime.now(UTC) + timedelta(days=1)
    body = {"name": "ci", "scopes": ["write", "read"], "expires_at": end.isoformat()}
    made = client.post("/v1/api-keys", json=body, headers=admin)
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    document = made.json()
    assert (document["tenant"], document["scopes"]) == ("theirs", ["read", "write"])
    assert datetime.fromisoformat(document["expires_at"]) == end
    key, path = document.pop("key"), made.headers["location"]
    assert client.get(path, headers=admin).json() == document
    listed = client.get("/v1/api-keys", headers=admin)
    assert listed.json()["items"][0] == document and key not in listed.text
    assert {item["tenant"] for item in listed.json()["items"]} == {"theirs"}

    own = bearer(key)
    search = client.post("/v1/searches", json=BODY, headers=own)
    assert search.status_code == 202
    ids = [s["id"] for s in client.get("/v1/searches", headers=own).json()["items"]]
    assert ids == [search.json()["id"]]

    def used() -> dict[str, Any]:
        return dict(client.get(path, headers=admin).json())

    deadline = time.monotonic() + 30
    while used()["last_used_at"] is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert used()["last_used_at"] is not None

    for _ in range(2):
        assert client.delete(path, headers=admin).status_code == 204
        problem(client.get("/v1/searches", headers=own), 401)
    assert used()["state"] == "revoked"


def test_a_key_that_was_revoked_elsewhere_opens_nothing_after_a_second(
    app: FastAPI, client: TestClient, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, now = keys.mine["read"], time.monotonic()
    monkeypatch.setattr("service.api.callers.time.monotonic", lambda: now)
    assert client.get("/v1/quota", headers=bearer(key)).status_code == 200
    with app.state.sessions.begin() as session:
        KeyRepository(session, None).revoke(keys.ids[key])
    now += BELIEVED_SECONDS
    problem(client.get("/v1/quota", headers=bearer(key)), 401)


def test_the_database_is_asked_once_a_second_for_a_key(
    app: FastAPI, client: TestClient, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = time.monotonic(), []
    monkeypatch.setattr("service.api.callers.time.monotonic", lambda: now)

    @event.listens_for(app.state.sessions.engine, "before_cursor_execute")
    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "FROM api_keys" in statement:
            asked.append(statement)

    for header in (bearer(keys.mine["read"]), {"Authorization": keys.bad["unknown"]}):
        for _ in range(5):
            client.get("/v1/quota", headers=header)
    assert len(asked) == 2


def test_only_who_runs_the_server_makes_keys_of_others(client: TestClient, keys: Keys) -> None:
    body = {"name": "first", "scopes": ["admin"], "tenant": "new"}
    problem(client.post("/v1/api-keys", json=body, headers=bearer(keys.theirs["admin"])), 403)
    made = client.post("/v1/api-keys", json=body, headers=bearer(keys.mine["admin"])).json()
    own = client.get("/v1/api-keys", headers=bearer(made["key"])).json()["items"]
    assert [item["id"] for item in own] == [made["id"]]
    seen = client.get("/v1/api-keys?page_size=4", headers=bearer(keys.mine["admin"])).json()
    rest = client.get(
        "/v1/api-keys",
        params={"page_token": seen["next_page_token"]},
        headers=bearer(keys.mine["admin"]),
    ).json()
    assert len(seen["items"] + rest["items"]) == 9 and rest["next_page_token"] is None
    assert {item["tenant"] for item in seen["items"] + rest["items"]} == {
        "default",
        "theirs",
        "new",
    }


def test_everything_wrong_with_a_wanted_key_is_told(client: TestClient, keys: Keys) -> None:
    wrong = {
        "name": "",
        "scopes": ["read", "root"],
        "expires_at": "2020-01-01T00:00:00Z",
        "tenant": "Über",
        "colour": "red",
    }
    refused = client.post("/v1/api-keys", json=wrong, headers=bearer(keys.mine["admin"]))
    problem(refused, 422)
    assert pointers(refused) == {"/name", "/scopes/1", "/expires_at", "/tenant", "/colour"}
    for expires_at in ("2099-01-01T00:00:00", "tomorrow"):  # without a zone, or none
        body = {"name": "k", "expires_at": expires_at}
        refused = client.post("/v1/api-keys", json=body, headers=bearer(keys.mine["admin"]))
        problem(refused, 422)
    for nothing in ("key_1", "%00", "srch_1"):
        problem(client.get(f"/v1/api-keys/{nothing}", headers=bearer(keys.mine["admin"])), 404)


def test_a_stream_ends_with_its_key(
    app: FastAPI, client: TestClient, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing happens to the search, and it has not ended."""
    monkeypatch.setattr("service.api.events.router.BELIEVED_SECONDS", 0.01)
    monkeypatch.setattr("service.api.callers.BELIEVED_SECONDS", 0.01)
    search = client.post("/v1/searches", json=BODY, headers=bearer(keys.mine["write"])).json()
    follower = Driver(app.state.sessions, search["id"])
    follower.run(0, 0.5)
    with app.state.sessions.begin() as session:
        row = add_key(session, DEFAULT_TENANT, (key := new_key()), "short", [Scope.READ])
        row.expires_at = datetime.now(UTC) + timedelta(seconds=0.5)
    answer = client.get(search["links"]["events"], headers=bearer(key))
    assert answer.status_code == 200 and "trial.ended" in answer.text
    problem(client.get(search["links"]["events"], headers=bearer(key)), 401)


def test_the_logs_say_who_asked_and_never_with_which_key(
    app: FastAPI,
    client: TestClient,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A request that breaks included, whose traceback is logged."""
    admin = bearer(keys.theirs["admin"])
    made = client.post("/v1/api-keys", json={"name": "k"}, headers=admin).json()
    problem(client.get("/v1/quota", headers={"Authorization": keys.bad["revoked"]}), 401)
    monkeypatch.setattr(KeyRepository, "page", lambda *_, **__: 1 / 0)
    problem(client.get("/v1/api-keys", headers=admin), 500)
    printed = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in printed and printed.count("event='request'") == 3
    own = keys.ids[keys.theirs["admin"]]
    for who in (f"key='{own}'", "tenant='theirs'"):
        assert printed.count(who) == 3  # made, broke, and answered
    every = [*keys.mine.values(), *keys.theirs.values(), made["key"], keys.bad["revoked"][7:]]
    assert not any(key[10:] in printed for key in every)
