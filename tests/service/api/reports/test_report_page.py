"""The report as a page: whole in one file, the same figures as in JSON, and no text that runs."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from models.recipe import Recipe
from search.trial import Candidate, FailureKind
from service.api.charts.scales import written
from service.api.html.negotiation import prefers_html
from tests.service.support.requests import SMALL, Driver, derived, problem, run_search, submit

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """The rows behind it are read as those of the JSON, which is tested on both."""
    return str(request.param)


class Page(HTMLParser):
    """Tags, attributes, the text, and the style of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style" and not self.style:
            self.style = data
        else:
            self.text += data


def page_of(client: TestClient, search_id: str) -> Page:
    answer = client.get(f"/v1/searches/{search_id}/report?format=html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy and "unsafe" not in policy
    assert ("content", policy) in page.attributes, "in the file as well"
    return page


def test_the_page_of_a_search(app: FastAPI, client: TestClient) -> None:
    search_id = run_search(
        app,
        client,
        name=HOSTILE,
        strategy={"name": "nsga2"},
        budget={"trials": 14},
        baseline="random",
        objectives=[{"metric": "val_accuracy"}, {"metric": "parameters"}],
        final={"top": 2, "seeds": 2, "epochs": 1},
        proxies=[{"name": "parameters", "use": "report"}],
    )
    page = page_of(client, search_id)

    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    loading = {"href", "action", "srcdoc", "style"}
    assert not [name for name, _ in page.attributes if name in loading or name.startswith("on")]
    assert HOSTILE in page.text, "it is shown"
    (drawing,) = [value for name, value in page.attributes if name == "src"]
    kind, _, content = drawing.partition(",")
    assert kind == "data:image/svg+xml;base64" and b"<svg" in base64.b64decode(content)

    report = client.get(f"/v1/searches/{search_id}/report").json()
    best = client.get(f"/v1/searches/{search_id}/best").json()["items"]
    accuracy, parameters = report["objectives"]
    for step in (*accuracy["strategy"]["best_so_far"], *parameters["baseline"]["best_so_far"]):
        assert written(step["value"]) in page.text
    final = best[0]["final_metrics"]["test_accuracy"]
    assert f"{written(final['mean'])} ± {written(final['std'])} (2 seeds)" in page.text
    assert written(accuracy["difference"]["mean"]["low"]) in page.text
    for share in accuracy["importance"]:
        assert share["decision"] in page.text and written(share["share"]) in page.text
    assert "Pareto set" in page.text and "Learning curves: val_accuracy" in page.text
    spec = client.get(f"/v1/searches/{search_id}").json()["spec"]
    request = page.text.partition("The request, with every default filled in")[2]
    assert json.JSONDecoder().raw_decode(request)[0] == spec, "it can be submitted again"
    assert page.tags.count("svg") == page.text.count("Data of “") >= 8, "each has its table"


def test_failures_and_final_scores_that_are_no_better(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client, **SMALL, budget={"trials": 4})
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.9, proposal=Candidate(derived("0"), Recipe(epochs=2)))
    driver.start(1)
    driver.fail(1, FailureKind.ERROR, f"it broke at {HOSTILE}")
    driver.retrain(2, 0, 0.5, seed=0)
    driver.retrain(3, 0, 0.7, seed=1)
    page = page_of(client, search_id)
    assert "script" not in page.tags
    assert f"it broke at {HOSTILE}" in page.text
    assert "0.6 ± 0.1414 (2 seeds)" in page.text  # sqrt(((0.5 - 0.6)² + (0.7 - 0.6)²) / 1)
    assert "trial 2, final" not in page.text, "it has told no epoch"
    assert "trial 0" in page.text


def test_a_search_without_a_trial_has_a_page(client: TestClient) -> None:
    page = page_of(client, submit(client, **SMALL))
    assert "no trial has ended with a score" in page.text and "svg" not in page.tags


def test_who_asks_for_what_gets_it(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client, **SMALL)}/report"
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    kinds = {
        ("", browser): "text/html",
        ("", "*/*"): "application/json",
        ("", "application/json"): "application/json",
        ("?format=json", browser): "application/json",
        ("?format=html", "application/json"): "text/html",
    }
    for (query, accept), kind in kinds.items():
        answer = client.get(path + query, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(kind), (query, accept)
        assert answer.headers["vary"] == "Accept"
    problem(client.get(f"{path}?format=pdf"), 422)
    missing = client.get(path.replace("srch_", "srch-"), headers={"Accept": browser})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        ("", False),
        ("text/html", True),
        ("text/*", False),
        ("application/json, text/html;q=0.9", False),
        ("application/json;q=0.8, text/html;q=0.9", True),
        ("TEXT/HTML ; Q=0.5", True),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", False),
    ],
)
def test_html_is_for_who_prefers_it(accept: str | None, html: bool) -> None:
    assert prefers_html(accept) is html
