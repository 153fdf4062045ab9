"""The pages of the dashboard as a server sends them; tests/browser looks at them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import service.api.dashboard
from search.trial import FailureKind
from service.api.cookies import COOKIE, TOKEN_HEADER
from service.api.dashboard.views import POLICY
from service.settings import ServiceSettings
from service.sql.api_keys import Scope, add_key, new_key
from service.sql.database import DEFAULT_TENANT
from tests.service.support.requests import SMALL, Driver, problem, submit

HOSTILE = "<script>alert('x')</script>"
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """The rows behind the pages are read as those of the API, which is tested on both."""
    return str(request.param)


@pytest.fixture
def search_id(app: FastAPI, client: TestClient) -> str:
    """A search that runs: one trial has ended, one has failed, one is retrained."""
    found = submit(client, **SMALL, name=HOSTILE, budget={"trials": 9})
    driver = Driver(app.state.sessions, found)
    driver.run(0, 0.9)
    driver.start(1)
    driver.fail(1, FailureKind.ERROR, f"broke at {HOSTILE}")
    driver.retrain(2, 0, 0.5, seed=0)
    return found


def paths(search_id: str) -> list[str]:
    path = f"/dashboard/searches/{search_id}"
    own = ["", "/charts", "/trials", "/trials?state=failed", "/trials/0", "/trials/1"]
    others = ["", "/datasets", "/datasets/digits", "/catalog", "/keys", "/login"]
    return [path + part for part in own] + [f"/dashboard{part}" for part in others]


def test_every_page_is_whole_and_shows_names_as_text(client: TestClient, search_id: str) -> None:
    for path in paths(search_id):
        page = client.get(path, headers=BROWSER)
        assert page.status_code == 200, path
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"] == POLICY
        assert page.headers["cache-control"] == "no-store"
        assert HOSTILE not in page.text, path
        assert not re.search(r"<[^>]+\s(on\w+|style)=", page.text), path
        loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
        assert all(re.match(r"(/[^/]|#|data:,$)", link) for link in loaded), (path, loaded)
    assert ESCAPED in client.get("/dashboard").text
    assert ESCAPED in client.get(f"/dashboard/searches/{search_id}/trials/1").text
    assert "unsafe" not in POLICY and "http" not in POLICY


def test_what_a_search_shows(client: TestClient, search_id: str) -> None:
    page = client.get(f"/dashboard/searches/{search_id}").text
    assert "2 of 9 trials" in page and "val_accuracy 0.9" in page
    charts = client.get(f"/dashboard/searches/{search_id}/charts").text
    assert "Best val_accuracy so far" in charts and f"broke at {ESCAPED}" in charts
    assert "0.5 (one seed)" in charts
    csv = client.get(f"/v1/searches/{search_id}/charts/progress?format=csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text.splitlines()[:2] == [
        "series,trials,val_accuracy,low,high",
        "this search,1,0.9,,",
    ]
    svg = client.get(f"/v1/searches/{search_id}/charts/progress")
    assert svg.headers["content-type"].startswith("image/svg+xml") and "<style>" in svg.text
    missing = problem(client.get(f"/v1/searches/{search_id}/charts/pareto"), 404)
    assert "progress, trials, scores, test" in missing["detail"]
    rows = client.get(f"/dashboard/searches/{search_id}/trials?state=failed").text
    assert "trial 1<" in rows and "trial 0<" not in rows


def test_a_page_that_is_not_there_says_so(client: TestClient) -> None:
    missing = client.get("/dashboard/datasets/nothing", headers=BROWSER)
    assert missing.status_code == 404 and "there is no dataset" in missing.text
    assert missing.headers["content-security-policy"] == POLICY
    problem(client.get("/dashboard/datasets/nothing"), 404)


def test_who_has_nothing_is_told_what_to_do(client: TestClient) -> None:
    assert "nasmith submit -" in client.get("/dashboard").text
    assert "nasmith datasets add" in client.get("/dashboard/datasets").text
    root = client.get("/", headers=BROWSER, follow_redirects=False)
    assert (root.status_code, root.headers["location"]) == (303, "/dashboard")
    assert client.get("/").json()["links"]["dashboard"] == "/dashboard"


def test_buttons_do_what_they_say(client: TestClient) -> None:
    search_id = submit(client, **SMALL)
    part = {"HX-Request": "true"}
    for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        done = client.post(f"/dashboard/searches/{search_id}/{action}", headers=part)
        assert done.status_code == 200 and f">{state}</span>" in done.text
        assert client.get(f"/v1/searches/{search_id}").json()["state"] == state
    refused = client.post(f"/dashboard/searches/{search_id}/pause", headers=part)
    assert refused.status_code == 200 and 'role="alert"' in refused.text
    problem(client.post(f"/dashboard/searches/{search_id}/explode"), 404)


def test_a_stream_sends_parts_and_ends_with_the_search(client: TestClient, search_id: str) -> None:
    client.post(f"/v1/searches/{submit(client, **SMALL)}/cancel")
    (ended,) = [found["id"] for found in client.get("/v1/searches?state=cancelled").json()["items"]]
    sent = client.get(f"/dashboard/searches/{ended}/live")
    assert sent.headers["content-type"].startswith("text/event-stream")
    assert re.findall(r"^event: (\w+)", sent.text, re.M) == [
        "progress",
        "actions",
        "charts",
        "ended",
    ]
    assert "cancelled</span>" in sent.text
    problem(client.get(f"/dashboard/searches/{ended[:-1]}/live"), 404)


def test_files_of_others_are_as_they_came() -> None:
    folder = Path(service.api.dashboard.__file__).parent / "static"
    listed = dict(re.findall(r"^\| ([\w.]+) .* ([0-9a-f]{64}) \|$", _text(folder), re.M))
    scripts = {path.name for path in folder.glob("*.js")}
    assert listed.keys() == scripts == {"htmx.min.js", "sse.min.js"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert (folder / f"{name.partition('.')[0]}.LICENSE").is_file()


def _text(folder: Path) -> str:
    return (folder / "VENDORED.md").read_text("utf-8")


class TestKeys:
    @pytest.fixture
    def settings(self, settings: ServiceSettings) -> ServiceSettings:
        return settings.model_copy(update={"auth": "keys"})

    @pytest.fixture
    def key(self, app: FastAPI) -> str:
        made = new_key()
        with app.state.sessions.begin() as session:
            add_key(session, DEFAULT_TENANT, made, HOSTILE, [Scope.ADMIN])
        return made

    @pytest.fixture
    def browser(self, client: TestClient, key: str) -> Iterator[TestClient]:
        """Somebody who has logged in."""
        form = {"key": f" {key} ", "next": "/dashboard/datasets"}
        entered = client.post("/dashboard/login", data=form, follow_redirects=False)
        assert (entered.status_code, entered.headers["location"]) == (303, "/dashboard/datasets")
        cookie = entered.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=") and "Max-Age" not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
        yield client

    def token(self, browser: TestClient) -> str:
        (found,) = re.findall(rf'"{TOKEN_HEADER}": "(\w+)"', browser.get("/dashboard").text)
        return str(found)

    def test_who_is_not_known_is_led_to_the_login_and_back(self, client: TestClient) -> None:
        closed = client.get("/dashboard/keys", headers=BROWSER, follow_redirects=False)
        assert closed.status_code == 303
        assert closed.headers["location"] == "/dashboard/login?next=/dashboard/keys"
        part = client.get("/dashboard", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (204, "/dashboard/login")
        problem(client.get("/dashboard/keys"), 401)
        wrong = client.post("/dashboard/login", data={"key": new_key()}, headers=BROWSER)
        assert wrong.status_code == 401 and "there is no such API key" in wrong.text
        assert "set-cookie" not in wrong.headers

    @pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "/dashboard\\x"])
    def test_the_login_leads_nowhere_else(self, client: TestClient, key: str, next: str) -> None:
        form = {"key": key, "next": next}
        entered = client.post("/dashboard/login", data=form, follow_redirects=False)
        assert entered.headers["location"] == "/dashboard"

    def test_a_cookie_reads_and_changes_only_with_the_token(self, browser: TestClient) -> None:
        assert browser.get("/v1/searches").status_code == 200
        assert ESCAPED in browser.get("/dashboard/keys").text
        body = {"dataset": "digits", "space": {"family": "cnn_cell"}}
        for wrong in ({}, {TOKEN_HEADER: "0" * 64}, {TOKEN_HEADER: "é".encode("latin-1")}):
            refused = problem(browser.post("/v1/searches", json=body, headers=wrong), 403)
            assert refused["type"] == "urn:nasmith:problem:cross-site-request"
        token = {TOKEN_HEADER: self.token(browser)}
        assert browser.post("/v1/searches", json=body, headers=token).status_code == 202

    def test_who_has_logged_out_is_out(self, browser: TestClient) -> None:
        token = {TOKEN_HEADER: self.token(browser)}
        problem(browser.post("/dashboard/logout"), 403)
        left = browser.post("/dashboard/logout", headers=token)
        assert (left.status_code, left.headers["hx-redirect"]) == (204, "/dashboard/login")
        problem(browser.get("/v1/searches"), 401)

    def test_a_header_needs_no_token(self, client: TestClient, key: str) -> None:
        header = {"Authorization": f"Bearer {key}"}
        client.cookies.set(COOKIE, key)
        assert client.post("/v1/search-spaces/validate", json={}, headers=header).status_code == 422


class TestUnderAPrefix:
    @pytest.fixture
    def settings(self, settings: ServiceSettings) -> ServiceSettings:
        return settings.model_copy(update={"auth": "keys", "root_path": "/nas"})

    def test_every_link_and_the_cookie_stay_under_it(
        self, app: FastAPI, client: TestClient
    ) -> None:
        key = new_key()
        with app.state.sessions.begin() as session:
            add_key(session, DEFAULT_TENANT, key, "mine", [Scope.READ])
        closed = client.get("/nas/dashboard/keys", headers=BROWSER, follow_redirects=False)
        assert closed.headers["location"] == "/nas/dashboard/login?next=/dashboard/keys"
        form = {"key": key, "next": "/dashboard/keys"}
        entered = client.post("/nas/dashboard/login", data=form, follow_redirects=False)
        assert entered.headers["location"] == "/nas/dashboard/keys"
        assert "Path=/nas;" in entered.headers["set-cookie"]
        for path in ("", "/datasets", "/catalog", "/keys"):
            page = client.get(f"/nas/dashboard{path}", headers=BROWSER)
            assert page.status_code == 200
            links = re.findall(r"(?:src|href|hx-get|hx-post)=\"([^\"]+)\"", page.text)
            assert links and all(link.startswith(("/nas/", "#", "data:")) for link in links), links
