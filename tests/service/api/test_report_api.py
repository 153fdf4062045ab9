"""The report of a search that ran through the real queue and journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from search.engine.journal import TrialPaused, TrialResumed
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.read import stored_spec
from service.commands.replaying import replayed
from tests.service.support.requests import SMALL, Driver, problem, run_search, submit


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
    assert replayed(stored_spec(document["spec"]), trials)["difference"] is None

    assert set(document["baseline"]) >= {"val_accuracy", "val_loss"}
    (found,) = client.get(f"/v1/searches/{search_id}/best").json()["items"]
    assert found["baseline"] == document["baseline"] and found["verdict"] is None
    report = client.get(f"/v1/searches/{search_id}/report").json()
    assert report["verdict"] is None

    (item,) = report["objectives"]
    assert item["floor"] is None, "nothing is cheaper than nothing"
    best = {
        name: min(trial["metrics"]["parameters"] for trial in of)
        for name, of in (("strategy", trained), ("baseline", drawn))
    }
    for name, value in best.items():
        assert item[name]["trials"] == 25
        assert item[name]["best_so_far"][-1]["value"] == value
    final = item["difference"]["final"]
    assert final["difference"] == best["baseline"] - best["strategy"]
    assert final["low"] is final["high"] is None, "one seed has one best score"
    assert len(item["importance"]) == 6
    assert 0 <= sum(share["share"] for share in item["importance"]) <= 1

    winner = client.get(f"/v1/searches/{search_id}/best").json()["items"][0]["trial"]
    assert winner in {trial["number"] for trial in trained}
    assert document["best"]["trial"] == winner


def test_a_search_over_families_says_what_each_reached(app: FastAPI, client: TestClient) -> None:
    search_id = run_search(
        app,
        client,
        dataset="digits",
        space=[{"family": "cnn_cell"}, {"family": "cnn_stages"}],
        budget={"trials": 12},
        objectives=[{"metric": "parameters", "goal": "minimize"}],
    )
    trials = client.get(f"/v1/searches/{search_id}/trials?kind=candidate&page_size=100").json()
    report = client.get(f"/v1/searches/{search_id}/report").json()
    assert [known["family"] for known in report["families"]] == ["cnn_cell", "cnn_stages"]
    for known in report["families"]:
        own = [
            trial
            for trial in trials["items"]
            if trial["architecture"]["family"] == known["family"] and trial["state"] != "cached"
        ]
        assert known["trials"] == len(own) > 0
        assert known["seconds"] == pytest.approx(sum(trial["seconds"] for trial in own))
        smallest = min(t["metrics"]["parameters"] for t in own if t["state"] == "completed")
        assert known["best"] == {"parameters": smallest}


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
        "verdict": None,
        "simple": [],
        "objectives": [
            {
                "metric": "val_accuracy",
                "goal": "maximize",
                "strategy": {"trials": 0, "best_so_far": []},
                "baseline": None,
                "floor": pytest.approx(0.1, abs=0.03),  # one class of ten
                "presets": [],
                "difference": None,
                "importance": [],
            }
        ],
        "rank_correlations": {},
        "reliability": {},
        "families": [],
        "ensemble": None,
        "memory": [],
        "supernets": [],
    }
    problem(client.get(f"/v1/searches/{search_id[:-1]}/report"), 404)


def test_a_search_on_shared_weights(app: FastAPI, client: TestClient, tmp_path: Path) -> None:
    guard = {"min_entropy": 1.0, "patience": 1, "warmup_share": 0.5, "every": 1}
    search_id = submit(
        client,
        dataset="digits",
        space={"family": "cnn_cell", "topology": "nasbench201", "nodes": 3, "channels": 2},
        strategy={"name": "darts", "seeds": 1, "epochs": 3, "batch_size": 256, "guard": guard},
        final={"seeds": 1, "epochs": 1},
        training={"epochs": 1, "batch_size": 256},
    )
    driver = Driver(app.state.sessions, search_id)
    run = driver.resume()
    run_serial(run, TrainEvaluator.for_search(run.spec, str(tmp_path)))
    driver.finish()
    trial = client.get(f"/v1/searches/{search_id}/trials/0").json()
    names = {"weight_loss", "architecture_loss", "entropy", "skip_share", "hessian_eigenvalue"}
    for point in trial["curve"]:
        assert names | {"entropy cell 0-1"} <= point["metrics"].keys()
        assert point["derived"]["family"] == "cnn_cell"
    (found,) = client.get(f"/v1/searches/{search_id}/report").json()["supernets"]
    assert found["trial"] == 0 and found["method"] == "darts" and found["state"] == "completed"
    assert found["epochs"] == [point["epoch"] for point in trial["curve"]]
    assert found["rows"] == ["cell 0-1", "cell 0-2", "cell 1-2"]
    for row, entropies in zip(found["rows"], found["entropy"], strict=True):
        assert entropies == [point["metrics"][f"entropy {row}"] for point in trial["curve"]]
    assert found["derived"] == [point["derived"] for point in trial["curve"]]
    assert all(value is not None for value in found["hessian_eigenvalue"])
    accuracies = [trial["metrics"][f"{name}_accuracy"] for name in ("supernet", "derived")]
    assert found["discretisation_gap"] == accuracies[0] - accuracies[1]
    assert found["derived_epoch"] == trial["metrics"]["derived_epoch"]
    assert found["derived"][found["derived_epoch"] - 1] == trial["derived"]


def test_a_search_against_another(app: FastAPI, client: TestClient) -> None:
    first, second = (
        run_search(
            app,
            client,
            strategy={"name": name},
            budget={"trials": 12},
            objectives=[{"metric": "parameters", "goal": "minimize"}],
        )
        for name in ("random", "local_search")
    )
    (found,) = client.get(f"/v1/searches/{first}/comparison/{second}").json()["differences"]
    best = [
        min(
            trial["metrics"]["parameters"]
            for trial in client.get(f"/v1/searches/{search_id}/trials").json()["items"]
            if trial["kind"] == "candidate" and trial["state"] == "completed"
        )
        for search_id in (first, second)
    ]
    assert (found["metric"], found["goal"], found["trials"]) == ("parameters", "minimize", 12)
    assert found["final"]["difference"] == best[1] - best[0]  # fewer are better
    assert found["mean"]["low"] <= found["mean"]["difference"] <= found["mean"]["high"]
    (back,) = client.get(f"/v1/searches/{second}/comparison/{first}").json()["differences"]
    assert back["mean"]["difference"] == -found["mean"]["difference"]

    elsewhere = run_search(
        app, client, dataset="wine", space={"family": "mlp"}, budget={"trials": 2}
    )
    other_data = client.get(f"/v1/searches/{first}/comparison/{elsewhere}")
    assert other_data.json() == {"differences": [], "over_seeds": []}
    unlike = f"?runs={second}&other_runs={elsewhere},{second}"
    refused = problem(client.get(f"/v1/searches/{first}/comparison/{second}{unlike}"), 422)
    told = {found["pointer"]: found["detail"] for found in refused["errors"]}
    assert told["/runs/0"] == f"{second} is no repeat of {first}: strategy differ"
    assert f"{second} has the seed 0 of another one" in told["/other_runs/1"]
    assert "dataset" in told["/other_runs/0"] and "1 runs, and 2" in told["/other_runs"]
    problem(client.get(f"/v1/searches/{first}/comparison/{second[:-1]}"), 404)


def test_a_paused_trial_has_no_result_until_it_ends(app: FastAPI, client: TestClient) -> None:
    """What was shown while it waited is not shown any more once it has ended better."""
    search_id = submit(client, **SMALL)
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.5)
    driver.start(1)
    driver.report(1, 1, val_accuracy=0.25)
    driver.journal.append(TrialPaused(1, 1, 0.5))

    def shown() -> dict[str, Any]:
        (item,) = client.get(f"/v1/searches/{search_id}/report").json()["objectives"]
        return dict(item["strategy"])

    assert shown() == {"trials": 1, "best_so_far": [{"trials": 1, "value": 0.5}]}
    other = submit(client, **SMALL)
    against = f"/v1/searches/{search_id}/comparison/{other}"
    nothing = {"differences": [], "over_seeds": []}  # as the other has no result
    assert client.get(against).json() == nothing
    itself = client.get(f"/v1/searches/{search_id}/comparison/{search_id}").json()["differences"]
    assert [found["trials"] for found in itself] == [1]

    driver.journal.append(TrialResumed(1))
    driver.end(1, 0.75)
    steps = [{"trials": 1, "value": 0.5}, {"trials": 2, "value": 0.75}]
    assert shown() == {"trials": 2, "best_so_far": steps}
    itself = client.get(f"/v1/searches/{search_id}/comparison/{search_id}").json()["differences"]
    assert [found["trials"] for found in itself] == [2]
