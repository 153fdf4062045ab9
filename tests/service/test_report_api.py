"""The report of a search that ran through the real queue and journal."""

from __future__ import annotations

from api import SMALL, problem, run_search, submit
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.replaying import replayed


def test_a_search_with_its_baseline(app: FastAPI, client: TestClient) -> None:
    search_id = run_search(
        app,
        client,
        strategy={"name": "local_search"},
        budget={"trials": 25},
        baseline="random",
        objectives=[{"metric": "parameters", "goal": "minimize"}],
    )
    document = client.get(f"/v1/searches/{search_id}").json()
    progress = document["progress"]
    assert (progress["trials_done"], progress["trials_total"]) == (25, 25)
    assert (progress["baseline_done"], progress["baseline_total"]) == (25, 25)
    trials = client.get(f"/v1/searches/{search_id}/trials?page_size=100").json()["items"]
    drawn = [trial for trial in trials if trial["kind"] == "baseline"]
    trained = [t for t in trials if t["kind"] == "candidate" and t["state"] == "completed"]
    assert len(drawn) == 25
    assert replayed(document["spec"], trials)["difference"] is None

    (item,) = client.get(f"/v1/searches/{search_id}/report").json()["objectives"]
    best = {
        name: min(trial["metrics"]["parameters"] for trial in of)
        for name, of in (("strategy", trained), ("baseline", drawn))
    }
    for name, value in best.items():
        assert item[name]["trials"] == 25
        assert item[name]["best_so_far"][-1]["value"] == value
    final = item["difference"]["final"]
    assert final["difference"] == best["baseline"] - best["strategy"]
    assert final["low"] <= final["difference"] <= final["high"]
    assert len(item["importance"]) == 6
    assert 0 <= sum(share["share"] for share in item["importance"]) <= 1

    winner = client.get(f"/v1/searches/{search_id}/best").json()["items"][0]["trial"]
    assert winner in {trial["number"] for trial in trained}
    assert document["best"]["trial"] == winner


def test_a_search_beside_known_networks(app: FastAPI, client: TestClient) -> None:
    search_id = run_search(
        app,
        client,
        dataset="wine",
        space={"family": "mlp"},
        budget={"trials": 12},
        baselines=["linear", "mlp-100"],
        objectives=[{"metric": "parameters", "goal": "minimize"}],
    )
    document = client.get(f"/v1/searches/{search_id}").json()
    assert document["progress"]["baseline_done"] == document["progress"]["baseline_total"] == 2
    trials = client.get(f"/v1/searches/{search_id}/trials?kind=baseline").json()["items"]
    assert sorted(t["architecture"]["decisions"]["depth"] for t in trials) == [0, 1]
    (item,) = client.get(f"/v1/searches/{search_id}/report").json()["objectives"]
    assert item["baseline"] is None and item["difference"] is None
    assert len(item["importance"]) > 5
    values = {t["number"]: t["metrics"]["parameters"] for t in trials}
    assert [(p["preset"], p["value"]) for p in item["presets"]] == [
        ("linear", values[item["presets"][0]["trial"]]),
        ("mlp-100", values[item["presets"][1]["trial"]]),
    ]


def test_a_search_that_has_not_begun(client: TestClient) -> None:
    search_id = submit(client, **SMALL)
    assert client.get(f"/v1/searches/{search_id}/report").json() == {
        "objectives": [
            {
                "metric": "val_accuracy",
                "goal": "maximize",
                "strategy": {"trials": 0, "best_so_far": []},
                "baseline": None,
                "presets": [],
                "difference": None,
                "importance": [],
            }
        ],
        "rank_correlations": {},
    }
    problem(client.get(f"/v1/searches/{search_id[:-1]}/report"), 404)
