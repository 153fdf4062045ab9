"""Behind a proxy that shows the API under a prefix: whatever an answer names can be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from nasmith import Client
from service.settings import ServiceSettings
from service.sql.database import connect
from tests.service.support.requests import BODY, Driver
from tests.service.support.serving import prefixing, serving

PREFIX = "/tools/nasmith"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    return ServiceSettings(home=Path(tmp_path_factory.mktemp("home")), root_path=PREFIX)


@pytest.fixture(scope="module")
def direct(settings: ServiceSettings) -> Iterator[str]:
    """The URL without the proxy."""
    with serving(settings) as url:
        yield url


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "kept"])
def url(request: pytest.FixtureRequest, direct: str) -> Iterator[str]:
    port = urlsplit(direct).port
    assert port is not None
    with prefixing(port, PREFIX, strips=request.param) as url:
        yield url


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=60) as client:
        yield client


def test_links_and_locations_lead_back(
    http: httpx2.Client, url: str, settings: ServiceSettings
) -> None:
    answer = http.post(f"{url}/v1/searches", json=BODY)
    location = urljoin(str(answer.request.url), answer.headers["location"])
    search = http.get(location).json()
    assert answer.status_code == 202 and location == f"{url}/v1/searches/{search['id']}"
    sessions = connect(settings.database_url)
    driver = Driver(sessions, search["id"])
    driver.run(0, 0.9)
    driver.publish(0, b"a zip", settings.home)
    driver.finish()
    sessions.engine.dispose()
    for name, path in search["links"].items():
        allowed = http.options(urljoin(url, path)).headers["allow"]
        assert ("POST" if name in ("cancel", "pause", "resume") else "GET") in allowed, name
    listed = http.get(f"{url}/v1/searches").json()["items"]
    assert search["links"] in [item["links"] for item in listed]
    best = http.get(urljoin(url, search["links"]["best"])).json()["items"][0]
    trial = http.get(f"{location}/trials/0").json()
    for bundle in (best["bundle"], trial["bundle"], search["links"]["bundle"]):
        assert http.get(urljoin(url, bundle)).content == b"a zip"


def test_an_uploaded_dataset_is_where_it_says(http: httpx2.Client, url: str) -> None:
    rows = "a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(60))
    form = {"name": "mine", "task": "tabular_classification", "options": '{"target": "b"}'}
    answer = http.post(f"{url}/v1/datasets", data=form, files={"file": ("a.csv", rows)})
    assert answer.status_code in (200, 201), answer.text
    where = urljoin(str(answer.request.url), answer.headers["location"])
    assert http.get(where).json()["name"] == "mine"


def test_the_docs_show_the_document_of_this_prefix(http: httpx2.Client, url: str) -> None:
    page = http.get(f"{url}/docs")
    sources = re.findall(r'(?:src|href)="([^":]+)"', page.text)
    assert len(sources) == 3
    for source in sources:
        assert http.get(urljoin(str(page.url), source)).status_code == 200, source
    start = http.get(urljoin(str(page.url), "docs/start.js")).text
    named = re.search(r'url: "([^"]+)"', start)
    assert named is not None
    document_url = urljoin(str(page.url), named[1])
    document = http.get(document_url).json()
    assert [urljoin(document_url, server["url"]) for server in document["servers"]] == [url]


def test_the_root_and_refusals_name_paths_under_the_prefix(http: httpx2.Client, url: str) -> None:
    for root in (http.get(url), http.get(f"{url}/")):
        links = root.json()["links"]
        assert links["catalog"] == f"{PREFIX}/v1/catalog"
        assert http.get(urljoin(url, links["version"])).status_code == 200
    refused = http.get(f"{url}/v1/nothing")
    assert refused.status_code == 404 and refused.json()["instance"] == f"{PREFIX}/v1/nothing"
    assert http.put(f"{url}/v1/searches").status_code == 501  # the proxy's own
    assert http.post(f"{url}/v1/catalog").headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_client_works_under_a_prefix(url: str) -> None:
    with Client(url) as client:
        search = client.searches.create(**BODY)
        assert search.id in {found.id for found in client.searches.list()}
        search.cancel()


def test_a_request_cannot_say_where_the_api_lies(http: httpx2.Client, direct: str) -> None:
    headers = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "evil.example", "Forwarded": "x"}
    answer = http.get(f"{direct}/", headers=headers)
    assert "evil" not in answer.text
    assert answer.json()["links"]["searches"] == f"{PREFIX}/v1/searches"


@pytest.mark.parametrize("path", ["/v1", "/docs/x", "nasmith", "/a/", "/a b", "//a", "/a?b"])
def test_a_prefix_that_cannot_be_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="root_path"):
        ServiceSettings(home=tmp_path, root_path=path)
