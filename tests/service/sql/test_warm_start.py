"""A search that begins with the results of earlier ones."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from search.engine.serial import run_serial
from search.request.read import stored_spec
from service.commands.replaying import replayed
from tests.service.support.requests import (
    SMALL,
    Driver,
    Hashed,
    pointers,
    problem,
    run_search,
    submit,
)
from tests.service.support.rows import add_search, add_tenant


def trials_of(client: TestClient, search_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/searches/{search_id}/trials?page_size=100").json()
    items: list[dict[str, Any]] = answer["items"]
    return items


def test_results_are_taken_over_and_outlive_the_earlier_search(
    app: FastAPI, client: TestClient
) -> None:
    first = run_search(app, client, strategy={"name": "random"}, budget={"trials": 6})
    trained = {t["number"]: t for t in trials_of(client, first) if t["state"] == "completed"}
    results = [trial for trial in trained.values() if trial["kind"] == "candidate"]
    changes = {**SMALL, "strategy": {"name": "local_search"}, "budget": {"trials": 5}}
    second = submit(client, **changes, warm_start=[first, first])
    assert client.delete(f"/v1/searches/{first}").status_code == 204

    known = trials_of(client, second)
    assert [t["number"] for t in known] == list(range(6))
    assert {t["state"] for t in known} == {"cached"} and {t["source_search"] for t in known} == {
        first
    }
    for taken, result in zip(known, results, strict=True):
        assert taken["source"] == result["number"]
        for field in ("architecture", "recipe", "metrics", "fitness", "architecture_key"):
            assert taken[field] == result[field]
    best = max(known, key=lambda trial: trial["fitness"])
    document = client.get(f"/v1/searches/{second}").json()
    assert document["best"]["trial"] == best["number"]
    assert document["progress"]["trials_done"] == 0
    assert client.get(f"/v1/searches/{second}/best").json()["items"][0]["trial"] == best["number"]

    driver = Driver(app.state.sessions, second)
    run_serial(driver.resume(), Hashed())
    driver.finish()
    ended = trials_of(client, second)
    assert client.get(f"/v1/searches/{second}").json()["progress"]["trials_done"] == 5
    asked = [t for t in ended if t["kind"] == "candidate" and t["number"] >= 6]
    assert asked[0]["asked_after"] == 6
    keys = {t["architecture_key"] for t in known}
    assert all(t["state"] == "cached" for t in asked if t["architecture_key"] in keys)
    assert replayed(stored_spec(document["spec"]), ended)["difference"] is None
    stream = client.get(f"/v1/searches/{second}/events").text
    ids = [line.split()[1] for line in stream.splitlines() if line.startswith("id:")]
    assert ids == [str(number) for number in range(1, len(ids) + 1)]

    third = submit(client, **changes, warm_start=[second])
    assert {(t["source_search"], t["source"]) for t in trials_of(client, third)} >= {
        (first, trial["number"]) for trial in results
    }


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_does_not_fit_is_refused_with_what_differs(app: FastAPI, client: TestClient) -> None:
    known = run_search(app, client, strategy={"name": "random"}, budget={"trials": 3})
    idle = submit(client, **SMALL)
    foreign = add_search(app.state.sessions, add_tenant(app.state.sessions, "other"))
    spec = client.get(f"/v1/searches/{known}").json()["spec"]
    moved = add_search(app.state.sessions, spec=spec, dataset_fingerprint="f" * 64)
    body = {"dataset": "digits", "strategy": {"name": "random"}, **SMALL}
    path = "/v1/searches?dry_run=true"

    def detail(ids: list[str], **changes: Any) -> str:
        answer = client.post(path, json={**body, "warm_start": ids, **changes})
        assert pointers(answer) == {f"/warm_start/{len(ids) - 1}"}
        return str(problem(answer, 422)["errors"][0]["detail"])

    assert client.post(path, json={**body, "warm_start": [known]}).json()["warm_start_trials"] == 3
    sizes = {t["architecture_key"]: t["metrics"]["parameters"] for t in trials_of(client, known)}
    limit = {"metric": "parameters", "max": sorted(sizes.values())[1]}
    narrow = {**body, "warm_start": [known], "constraints": [limit], "force": True}
    assert client.post(path, json=narrow).json()["warm_start_trials"] == 2
    for search_id in (foreign, "../catalog"):
        assert detail([known, search_id]) == f"there is no search {search_id!r}"
    assert "has no result yet" in detail([idle])
    assert detail([moved]).startswith("/dataset differs: it searched 'digits' with the fingerprint")
    assert detail([known], objectives=[{"metric": "val_loss", "goal": "minimize"}]) == (
        "/objectives differ: it is to maximize val_accuracy, here it is to minimize val_loss"
    )
    assert "'training.epochs': got 1, allowed are [2]" in detail([known], training={"epochs": 2})
    wide = {**SMALL["space"], "channels": 8}
    assert "decision 'channels': got 4, allowed are [8]" in detail([known], space=wide)
