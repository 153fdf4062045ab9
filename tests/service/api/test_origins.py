"""No page of another origin acts here, and no other name leads here."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from tests.service.support.requests import problem

FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port, or a neighbour under the same domain
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "null"},  # of a sandboxed frame
    {"Origin": ""},
)
OWN: tuple[dict[str, str], ...] = (
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://tools.example"},  # before a proxy
)


def test_a_page_of_another_origin_changes_nothing(app: FastAPI, client: TestClient) -> None:
    changing = [
        (method, route.path.replace("{", "").replace("}", ""))
        for context in iter_route_contexts(app.routes)
        if isinstance(route := context.original_route, APIRoute)
        for method in route.methods - {"GET", "HEAD"}
    ]
    assert ("POST", "/v1/searches") in changing and ("DELETE", "/v1/datasets/name") in changing
    for method, path in changing:
        refused = problem(client.request(method, path, headers=FOREIGN[0]), 403)
        assert refused["type"].endswith("cross-origin")
    for headers in FOREIGN:
        problem(client.post("/v1/searches", json={}, headers=headers), 403)
        assert client.get("/v1/searches", headers=headers).status_code == 200
    for headers in OWN:
        problem(client.post("/v1/searches", json={}, headers=headers), 422)


def test_only_names_that_nobody_else_can_have_lead_here(client: TestClient) -> None:
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "10.1.2.3",
                 "localhost.", "nasmith.localhost:80"):  # fmt: skip
        assert client.get("/v1/searches", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io",
                 "localhost@evil.example", "localhost:x", "localhost/evil", ""):  # fmt: skip
        document = problem(client.get("/v1/searches", headers={"Host": host}), 421)
        assert "NASMITH_ALLOWED_HOSTS" in document["detail"], host
        problem(client.get("/no-such-path", headers={"Host": host}), 421)


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        ("", {"127.0.0.1"}),
        ("Tools.Example, nasmith", {"127.0.0.1", "tools.example", "nasmith"}),
        ("*", {"127.0.0.1", "*"}),
    ],
)
def test_other_names_are_a_setting(tmp_path: Path, allowed: str, names: set[str]) -> None:
    assert ServiceSettings(home=tmp_path, allowed_hosts=allowed).host_names == names


def test_a_host_is_named_without_scheme_and_port(tmp_path: Path) -> None:
    for wrong in ("http://tools.example", "tools.example:8000", "*.example"):
        with pytest.raises(ValueError, match="allowed_hosts"):
            ServiceSettings(home=tmp_path, allowed_hosts=wrong)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(
        home=tmp_path / "home", database_url=database_url, allowed_hosts="tools.example"
    )


def test_an_allowed_name_and_its_pages_may(client: TestClient) -> None:
    ours = {"Host": "tools.example:8000"}
    assert client.get("/v1/searches", headers=ours).status_code == 200
    for origin in ("https://tools.example", "http://tools.example:8000"):
        problem(client.post("/v1/searches", json={}, headers={**ours, "Origin": origin}), 422)
        problem(client.post("/v1/searches", json={}, headers={"Origin": origin}), 422)
    problem(client.post("/v1/searches", json={}, headers={**ours, "Origin": "http://x.org"}), 403)
