"""HEAD, OPTIONS and `/`, on every route that there is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.settings import API_PATHS
from tests.service.support.requests import Driver, pointers, problem, submit


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """What is asked of here does not depend on the database."""
    return str(request.param)


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def filled(path: str, search_id: str) -> str:
    """A path of the document with the values of things that exist."""
    values = {"search_id": search_id, "other_id": search_id, "number": "0", "name": "digits"}
    values["form"] = "pt2"
    values["key_id"] = "none"  # of which there are none where nobody is asked for one
    values["webhook_id"] = "none"  # by default, too
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def test_head_is_get_without_its_body(
    app: FastAPI, client: TestClient, document: dict[str, Any]
) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.9)
    driver.publish(0, b"zip" * 100_000, app.state.settings.home)
    driver.finish()
    paths = [path for path, methods in document["paths"].items() if "get" in methods]
    assert len(paths) > 15
    for path in [*paths, "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"]:
        url = filled(path, search_id)
        got, head = client.get(url), client.head(url)
        assert head.status_code == got.status_code < 500 or path == "/readyz", url
        assert head.content == b"" and got.content, url
        varying = {"x-request-id", "content-length" if path == "/metrics" else "", "date"}
        assert {name: value for name, value in head.headers.items() if name not in varying} == {
            name: value for name, value in got.headers.items() if name not in varying
        }, url
    head = client.head("/v1/searches/unknown")
    assert (head.status_code, head.content) == (404, b"")


def test_head_of_an_endless_stream_ends(client: TestClient) -> None:
    response = client.head(f"/v1/searches/{submit(client)}/events")
    assert response.status_code == 200 and response.content == b""
    assert response.headers["content-type"].startswith("text/event-stream")


def test_head_is_counted_as_head(client: TestClient) -> None:
    client.head("/healthz")
    assert 'method="HEAD",route="/healthz",status="200"' in client.get("/metrics").text


def test_options_names_the_methods_of_every_path(
    client: TestClient, document: dict[str, Any]
) -> None:
    search_id = submit(client)
    for path, methods in document["paths"].items():
        response = client.options(filled(path, search_id))
        allowed = {method.upper() for method in methods} | {"OPTIONS"}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        assert (response.status_code, response.content) == (204, b""), path
        assert response.headers["allow"] == ", ".join(sorted(allowed)), path
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert client.options("/openapi.json").headers["allow"] == "GET, HEAD, OPTIONS"
    problem(client.options("/nothing"), 404)
    refused = client.put("/v1/searches")
    assert problem(refused, 405) and refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_the_root_says_what_is_here(app: FastAPI, client: TestClient) -> None:
    root = client.get("/").json()
    assert (root["name"], root["version"]) == ("Nasmith", app.version)
    for name, path in root["links"].items():
        method = "POST" if name == "validate_space" else "GET"
        assert method in client.options(path).headers["allow"], name
    assert pointers(client.get("/?x=1")) == {"/x"}


def test_a_prefix_cannot_be_a_path_of_the_api(document: dict[str, Any]) -> None:
    known = {path.split("/")[1] for path in document["paths"]} - {""}
    assert known | {"dashboard", "docs", "openapi.json"} == API_PATHS


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("page_size=0&foo=1", {"/page_size", "/foo"}),
        (
            "page_size=x&page_token=y&state=z&foo=1&foo=2",
            {*"/page_size /page_token /state /foo".split()},
        ),
        ("page_size=0&page_token=y", {"/page_size", "/page_token"}),
        ("page_size=1&page_size=0", {"/page_size"}),
    ],
)
def test_everything_that_is_wrong_with_a_query_is_told_at_once(
    client: TestClient, query: str, wrong: set[str]
) -> None:
    assert pointers(client.get(f"/v1/searches?{query}")) == wrong


def test_a_header_is_told_beside_the_query(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}/events?foo=1"
    found = client.get(path, headers={"Last-Event-ID": "-1"})
    assert pointers(found) == {"/foo", "/Last-Event-ID"}
