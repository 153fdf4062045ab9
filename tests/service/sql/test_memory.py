"""A search that remembers earlier ones on other data."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from search.engine.serial import run_serial
from search.memory import Remembered
from search.request.read import stored_spec
from service.commands.replaying import replayed
from service.sql.memory import PastSearches
from tests.service.support.requests import Driver, Hashed, pointers, problem, submit
from tests.service.support.rows import add_search, add_tenant

MLP: dict[str, Any] = {
    "space": {"family": "mlp", "depth": {"low": 2, "high": 3}},
    "training": {"epochs": 1},
    "strategy": {"name": "random"},
    "opening": "none",
    "baselines": [],
    "final": {"top": 1, "seeds": 1, "epochs": 1},
}


def run(app: FastAPI, client: TestClient, **changes: Any) -> str:
    """The score of a network is the same on all data."""
    search_id = submit(client, **{**MLP, **changes})
    driver = Driver(app.state.sessions, search_id)
    run_serial(driver.resume(), Hashed())
    driver.finish()
    return search_id


def trials_of(client: TestClient, search_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/searches/{search_id}/trials?page_size=100").json()
    items: list[dict[str, Any]] = answer["items"]
    return items


def test_what_was_best_on_other_data_is_tried_first_even_where_its_search_is_gone(
    app: FastAPI, client: TestClient
) -> None:
    first = run(app, client, dataset="breast_cancer", budget={"trials": 12})
    candidates = [t for t in trials_of(client, first) if t["kind"] == "candidate"]
    ranked = sorted(candidates, key=lambda trial: trial["fitness"], reverse=True)
    best = ranked[0]
    changes = {"dataset": "wine", "memory": "own", "budget": {"trials": 9}, "seed": 1}
    second = submit(client, **{**MLP, **changes})
    assert client.delete(f"/v1/searches/{first}").status_code == 204

    (known,) = client.get(f"/v1/searches/{second}/memory").json()["items"]
    assert (known["search"], known["dataset"], known["results"]) == (first, "breast_cancer", 12)
    assert [r["architecture"] for r in known["recollections"]] == [
        trial["architecture"] for trial in ranked
    ]
    places = [recollection["place"] for recollection in known["recollections"]]
    assert places == [(11.5 - place) / 12 for place in range(12)]

    driver = Driver(app.state.sessions, second)
    halted = driver.resume()
    for _ in range(3):  # the process ends here
        trial = halted.next_trial()
        assert trial is not None
        (measured,) = Hashed().evaluate(trial)
        halted.complete(trial.number, measured.metrics, 1.0)
    run_serial(driver.resume(), Hashed())
    driver.finish()
    trials = trials_of(client, second)
    asked = [trial for trial in trials if trial["kind"] == "candidate"]
    remembered = {trial["architecture_key"] for trial in candidates}
    assert {trial["architecture_key"] for trial in asked[:3]} <= remembered
    assert best["architecture_key"] in {trial["architecture_key"] for trial in asked}

    document = client.get(f"/v1/searches/{second}").json()
    memory = [Remembered.from_json(known)]
    assert replayed(stored_spec(document["spec"]), trials, memory=memory)["difference"] is None
    assert replayed(stored_spec(document["spec"]), trials)["difference"] is not None
    stream = client.get(f"/v1/searches/{second}/events").text
    _, told = (
        event for event in stream.split("\n\n") if "memory.read" in event or "queued" in event
    )
    (line,) = (line for line in told.splitlines() if line.startswith("data:"))
    (summary,) = json.loads(line.removeprefix("data:"))["searches"]
    assert (summary["search"], summary["recollections"]) == (first, 12)

    (said,) = client.get(f"/v1/searches/{second}/report").json()["memory"]
    tried = [trial for trial in asked if trial["architecture_key"] in remembered]
    assert {name: said[name] for name in summary} == summary
    assert (said["tried"], said["spearman"]) == (len(tried), 1.0), "it scores the same here"
    winner = max(asked, key=lambda trial: trial["fitness"])
    found = dict(zip((r["architecture_key"] for r in known["recollections"]), places, strict=True))
    assert said["best_place"] == found.get(winner["architecture_key"])
    page = client.get(f"/v1/searches/{second}/report?format=html").text
    assert first in page and "remembered of earlier searches" in page

    again = client.post("/v1/searches?dry_run=true", json={**document["spec"], "name": ""})
    assert again.json()["memory"] == [], "a search that is gone serves no further one"
    assert [w["code"] for w in again.json()["warnings"]] == ["nothing_remembered"]


def test_only_searches_of_the_same_tenant_are_read(app: FastAPI, client: TestClient) -> None:
    own = run(app, client, dataset="breast_cancer", budget={"trials": 6})
    foreign = add_search(app.state.sessions, add_tenant(app.state.sessions, "other"))
    body = {**MLP, "dataset": "wine"}
    path = "/v1/searches?dry_run=true"
    answer = client.post(path, json={**body, "memory": [own, foreign, "../catalog"]})
    assert pointers(answer) == {"/memory/1", "/memory/2"}
    assert problem(answer, 422)["errors"][0]["detail"] == f"there is no search {foreign!r}"
    (known,) = client.post(path, json={**body, "memory": [own]}).json()["memory"]
    assert (known["search"], known["results"], known["recollections"]) == (own, 6, 6)
    assert [past.id for past in PastSearches(app.state.sessions, "other").ended()] == []
    assert client.get(f"/v1/searches/{foreign}/memory").status_code == 404
    assert client.get(f"/v1/searches/{own}/memory").json() == {"items": []}
