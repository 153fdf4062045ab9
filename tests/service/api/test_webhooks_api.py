"""Webhooks over HTTP: made, listed, deleted, with what was sent; and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.api.app import create_app
from service.settings import ServiceSettings
from service.sql.states import DeliveryState
from service.sql.tables import Webhook, WebhookDelivery
from service.sql.webhooks import MOST
from tests.service.api.test_tenants import become
from tests.service.support.requests import pointers, problem, submit
from tests.service.support.rows import add_tenant
from tests.service.support.serving import serving
from tests.support.command_line import Nasmith, nasmith

__all__ = ["nasmith"]

URL = "https://example.org/hook?a=1"


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """What differs between databases is tested with the rows: tests/service/sql."""
    return str(request.param)


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return settings.model_copy(update={"webhooks": "public"})


def made(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{document['id']}"
    return document


def cancelled(client: TestClient) -> str:
    search_id = submit(client)
    assert client.post(f"/v1/searches/{search_id}/cancel").status_code == 202
    return search_id


def test_a_webhook_is_made_read_and_deleted(app: FastAPI, client: TestClient) -> None:
    first = made(client)
    assert first["events"] == ["search.succeeded", "search.failed", "search.cancelled"]
    second = made(client, events=["search.cancelled", "search.failed"])
    assert second["events"] == ["search.failed", "search.cancelled"]
    secrets = {first.pop("secret"), second.pop("secret")}
    assert len(secrets) == 2 and all(secret.startswith("whsec_") for secret in secrets)
    listed = client.get("/v1/webhooks")
    assert listed.json() == {"items": [second, first]}
    path = f"/v1/webhooks/{first['id']}"
    assert client.get(path).json() == first
    assert not any(secret in listed.text for secret in secrets)
    become(app, add_tenant(app.state.sessions, "other"))
    assert client.get("/v1/webhooks").json() == {"items": []}
    for refused in (client.get(path), client.get(f"{path}/deliveries"), client.delete(path)):
        problem(refused, 404)
    become(app, "default")
    assert client.delete(path).status_code == 204
    problem(client.get(path), 404)
    problem(client.get("/v1/webhooks/hook_1"), 404)


def test_what_is_to_be_sent_is_seen(app: FastAPI, client: TestClient) -> None:
    hook = made(client)["id"]
    become(app, add_tenant(app.state.sessions, "other"))
    made(client)
    become(app, "default")
    searches = [cancelled(client) for _ in range(3)]
    path = f"/v1/webhooks/{hook}/deliveries"
    page = client.get(path, params={"page_size": 2}).json()
    rest = client.get(path, params={"page_size": 2, "page_token": page["next_page_token"]}).json()
    assert rest["next_page_token"] is None
    found = [*page["items"], *rest["items"]]
    assert [item["search"] for item in found] == searches[::-1]
    newest = found[0]
    assert (newest["state"], newest["attempts"], newest["type"]) == (
        "pending",
        0,
        "search.cancelled",
    )
    assert newest["payload"]["data"]["id"] == searches[-1]
    with app.state.sessions.begin() as session:
        is_newest = WebhookDelivery.id == newest["id"]
        session.execute(
            update(WebhookDelivery)
            .where(is_newest)
            .values(state=DeliveryState.DEAD, error="answered 500")
        )
    dead = client.get(path, params={"state": "dead"}).json()["items"]
    assert [(item["id"], item["error"]) for item in dead] == [(newest["id"], "answered 500")]
    other = client.get(path, params={"state": "dead", "page_token": page["next_page_token"]})
    assert pointers(other) == {"/page_token"}
    assert pointers(client.get(path, params={"state": "lost"})) == {"/state"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "example.org"}, "/url"),
        ({"url": "ftp://example.org"}, "/url"),
        ({"url": "https://user:word@example.org"}, "/url"),
        ({"url": "https://example.org/#a"}, "/url"),
        ({"url": "https://exämple.org"}, "/url"),
        ({"url": "https://example.org/a b"}, "/url"),
        ({"url": "https://example.org:99999/"}, "/url"),
        ({"url": "https://[::1"}, "/url"),
        ({"url": "https:///a"}, "/url"),
        ({"url": f"https://example.org/{'a' * 2000}"}, "/url"),
        ({"url": "http://example.org"}, "/url"),
        ({"url": "https://169.254.169.254/latest"}, "/url"),
        ({"url": "https://[::ffff:10.0.0.1]:8000/"}, "/url"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["search.running"]}, "/events/0"),
        ({"url": URL, "secret": "mine"}, "/secret"),
    ],
)
def test_what_cannot_be_told_is_refused(
    client: TestClient, body: dict[str, Any], pointer: str
) -> None:
    assert pointers(client.post("/v1/webhooks", json=body)) == {pointer}
    assert client.get("/v1/webhooks").json() == {"items": []}


def test_there_are_so_many_at_most(app: FastAPI, client: TestClient) -> None:
    for _ in range(MOST):
        made(client)
    problem(client.post("/v1/webhooks", json={"url": URL}), 409)
    become(app, add_tenant(app.state.sessions, "other"))
    made(client)


@pytest.fixture
def closed(settings: ServiceSettings) -> Iterator[TestClient]:
    """Of a server as it is by default."""
    app = create_app(settings.model_copy(update={"webhooks": "off"}))
    with TestClient(app, "http://localhost") as client:
        yield client


def test_by_default_there_are_none(closed: TestClient) -> None:
    document = problem(closed.post("/v1/webhooks", json={"url": URL}), 409)
    assert document["type"].endswith("webhooks-off") and "NASMITH_WEBHOOKS" in document["detail"]


def test_the_commands(tmp_path: Path, nasmith: Nasmith, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ServiceSettings(home=tmp_path / "home", webhooks="any")) as url:
        capsys.readouterr()

        def webhooks(*arguments: str) -> Any:
            outcome = nasmith("webhooks", *arguments, "--url", url)
            lines = [line for line in outcome.out.splitlines() if not line.startswith("method=")]
            return outcome.code, "\n".join(lines), outcome.err

        code, out, err = webhooks("create", "http://127.0.0.1:9/", "--event", "search.failed")
        assert code == 0 and out.startswith("whsec_") and "search.failed to http" in err
        (hook,) = json.loads(webhooks("list", "--json")[1])
        assert hook["url"] == "http://127.0.0.1:9/"
        assert json.loads(webhooks("deliveries", hook["id"], "--state", "dead", "--json")[1]) == []
        assert "attempts" in webhooks("deliveries", hook["id"])[1]
        assert webhooks("delete", hook["id"])[0] == 0
        assert webhooks("deliveries", hook["id"])[0] == 3
        assert hook["id"] not in webhooks("list")[1]


def test_secrets_are_random(app: FastAPI, client: TestClient) -> None:
    for _ in range(3):
        made(client)
    with app.state.sessions.read() as session:
        found = set(session.scalars(select(Webhook.secret)))
    assert len(found) == 3 and all(len(secret) == len("whsec_") + 44 for secret in found)
