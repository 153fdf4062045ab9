"""What a tenant may use: read, used up, given back, and nobody else's."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import ServiceSettings
from service.sql.database import DEFAULT_TENANT
from tests.service.api.test_datasets_api import add_row
from tests.service.api.test_tenants import become
from tests.service.support.requests import BODY, Driver, pointers, problem, submit
from tests.service.support.rows import add_search, add_tenant


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """What differs between databases is tested with the rows: tests/service/sql."""
    return str(request.param)


@contextmanager
def limited(settings: ServiceSettings, **quotas: int) -> Iterator[tuple[FastAPI, TestClient]]:
    app = create_app(settings.model_copy(update={f"quota_{k}": v for k, v in quotas.items()}))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield app, client


def upload(client: TestClient, name: str) -> int:
    rows = "".join(f"{n},{n % 2}\n" for n in range(40))
    answer = client.post(
        "/v1/datasets",
        files={"file": ("a.csv", io.BytesIO(f"x,y\n{rows}".encode()))},
        data={"name": name, "task": "tabular_classification", "options": '{"target": "y"}'},
    )
    return answer.status_code


def test_without_limits_what_is_used_is_told(app: FastAPI, client: TestClient) -> None:
    first, second = submit(client, budget={"trials": 5}), submit(client, budget={"trials": 7})
    driver = Driver(app.state.sessions, first)
    driver.run(0, 0.5)
    driver.run(1, 0.5)
    driver.publish(1, b"x" * 1000, app.state.settings.home)
    client.post(f"/v1/searches/{second}/pause")
    other = add_tenant(app.state.sessions, "other")
    add_search(app.state.sessions, other)
    no_limit = {"limit": None}
    assert client.get("/v1/quota").json() == {
        "tenant": "default",
        "running_searches": {"used": 1, **no_limit},
        "queued_searches": {"used": 1, **no_limit},
        "trials": {"used": 5 - 2 + 7, **no_limit},
        "worker_seconds": {"used": 3, **no_limit},
        "stored_bytes": {"used": 1000, **no_limit},
        "requests_per_minute": {"used": None, **no_limit},
    }
    become(app, other)
    assert client.get("/v1/quota").json()["trials"]["used"] == 8


def test_searches_that_wait_are_limited_and_room_comes_back(settings: ServiceSettings) -> None:
    with limited(settings, queued_searches=2) as (app, client):
        first, second = submit(client), submit(client)
        client.post(f"/v1/searches/{second}/pause")  # is still there
        refused = client.post("/v1/searches", json=BODY)
        document = problem(refused, 429)
        assert int(refused.headers["retry-after"]) > 0
        assert (document["quota"], document["used"], document["limit"]) == ("queued_searches", 2, 2)
        assert document["type"].endswith("quota-exceeded")
        assert len(client.get("/v1/searches").json()["items"]) == 2
        become(app, add_tenant(app.state.sessions, "other"))
        submit(client)
        become(app, DEFAULT_TENANT)
        client.post(f"/v1/searches/{first}/cancel")
        submit(client)


def test_a_repeat_of_what_was_accepted_is_no_second_search(settings: ServiceSettings) -> None:
    with limited(settings, queued_searches=1) as (_, client):
        headers = {"Idempotency-Key": "same"}
        for _ in range(2):
            assert client.post("/v1/searches", json=BODY, headers=headers).status_code == 202


def test_trials_are_limited_in_one_search_and_in_all(settings: ServiceSettings) -> None:
    with limited(settings, trials=10) as (_, client):
        too_many = client.post("/v1/searches", json={**BODY, "budget": {"trials": 11}})
        problem(too_many, 422)
        assert pointers(too_many) == {"/budget/trials"}
        baseline = {"budget": {"trials": 6}, "baseline": "random"}  # as many once more
        problem(client.post("/v1/searches", json={**BODY, **baseline}), 422)
        search_id = submit(client, budget={"trials": 6})
        refused = problem(client.post("/v1/searches", json={**BODY, "budget": {"trials": 5}}), 429)
        assert (refused["quota"], refused["used"], refused["limit"]) == ("trials", 6, 10)
        path = f"/v1/searches/{search_id}"
        assert client.patch(path, json={"budget": {"trials": 10}}).status_code == 200
        problem(client.patch(path, json={"budget": {"trials": 11}}), 429)
        assert client.patch(path, json={"budget": {"trials": 3}}).status_code == 200
        submit(client, budget={"trials": 7})


def test_an_upload_that_has_no_room_is_refused_and_leaves_nothing(
    settings: ServiceSettings,
) -> None:
    with limited(settings, stored_bytes=1100) as (app, client):
        add_row(app, "first", size_bytes=1000)
        assert upload(client, "second") == 413  # its arrays take more than 100 bytes
        assert [p for p in (settings.home / "datasets").rglob("*") if p.is_file()] == []
        assert client.get("/v1/datasets/second").status_code == 404
        submit(client)
        add_row(app, "third", size_bytes=100)
        assert upload(client, "second") == 413
        assert problem(client.post("/v1/searches", json=BODY), 429)["quota"] == "stored_bytes"
        assert client.delete("/v1/datasets/third").status_code == 204
        assert client.get("/v1/quota").json()["stored_bytes"] == {"used": 1000, "limit": 1100}
        submit(client)


def test_requests_are_limited_in_any_minute_and_what_is_open_is_not(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    with limited(settings, requests_per_minute=3) as (_, client):
        for _ in range(3):
            assert client.get("/v1/searches").status_code == 200
            now += 10
        refused = client.get("/v1/searches")
        assert problem(refused, 429)["quota"] == "requests"
        assert refused.headers["retry-after"] == "30"  # a minute after the first, 30 s ago
        for _ in range(5):
            assert client.get("/healthz").status_code == 200
        now += 31
        assert client.get("/v1/quota").json()["requests_per_minute"] == {"used": 3, "limit": 3}
        problem(client.get("/v1/quota"), 429)


def test_quotas_are_of_each_tenant(settings: ServiceSettings) -> None:
    with limited(settings, trials=10) as (app, client):
        submit(client, budget={"trials": 10})
        become(app, add_tenant(app.state.sessions, "other"))
        submit(client, budget={"trials": 10})
