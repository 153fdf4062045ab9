from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from search.trial import FailureKind, TrialState
from service.settings import ServiceSettings
from service.sql.states import SearchState
from tests.service.support.requests import Driver, pointers, problem, submit


@pytest.fixture
def search_id(client: TestClient) -> str:
    return submit(client, final={"top": 2, "seeds": 2}, budget={"trials": 8})


@pytest.fixture
def driver(app: FastAPI, search_id: str) -> Driver:
    return Driver(app.state.sessions, search_id)


def test_a_running_trial_shows_its_curve(
    client: TestClient, search_id: str, driver: Driver
) -> None:
    driver.start(0)
    driver.report(0, 1, val_accuracy=0.25, train_loss=float("nan"))
    driver.report(0, 2, val_accuracy=0.5)
    trial = client.get(f"/v1/searches/{search_id}/trials/0").json()
    assert trial["state"] == "running"
    assert trial["kind"] == "candidate"
    assert trial["metrics"] == {} and trial["failure"] is None and trial["ended_at"] is None
    assert trial["architecture"] == {"family": "cnn_cell", "decisions": {"cells": 1}}
    assert trial["recipe"]["epochs"] == 2
    assert trial["curve"] == [
        {"epoch": 1, "metrics": {"val_accuracy": 0.25, "train_loss": None}, "derived": None},
        {"epoch": 2, "metrics": {"val_accuracy": 0.5}, "derived": None},
    ]


def test_a_run_whose_gradients_vanish_says_so(
    client: TestClient, search_id: str, driver: Driver
) -> None:
    health = {"gradient_norm_last": 0.5, "gradient_nonfinite_share": 0.0}
    for number, first in enumerate((0.25, 1e-9)):
        metrics = {"val_accuracy": 0.5, "gradient_norm_first": first, **health}
        driver.run(number, 0.5, metrics=metrics)
    sound, vanishing = client.get(f"/v1/searches/{search_id}/trials").json()["items"]
    assert sound["diagnosis"] is None
    assert vanishing["diagnosis"] == (
        "vanishing: gradient norm 1e-09 in the first layer, 0.5 in the last"
    )


def test_trials_say_what_came_of_them(client: TestClient, search_id: str, driver: Driver) -> None:
    driver.run(0, 0.75)
    driver.start(1)
    driver.fail(1, FailureKind.NON_FINITE, "the loss became NaN in epoch 1")
    driver.end(2, 0.75, state=TrialState.CACHED, source=0)
    done, failed, cached = client.get(f"/v1/searches/{search_id}/trials").json()["items"]
    assert done["metrics"] == {"val_accuracy": 0.75, "parameters": 1000.0}
    assert (done["state"], done["seconds"], done["worker"]) == ("completed", 1.5, "node/1")
    assert len(done["curve"]) == 2
    assert failed["state"] == "failed"
    assert failed["failure"] == {
        "kind": "non_finite",
        "message": "the loss became NaN in epoch 1",
    }
    assert (cached["state"], cached["source"], cached["curve"]) == ("cached", 0, [])


def test_trials_have_pages_and_filters(client: TestClient, search_id: str, driver: Driver) -> None:
    for number in range(5):
        driver.start(number)
        if number % 2:
            driver.end(number, number / 10)
    path = f"/v1/searches/{search_id}/trials"
    seen: list[int] = []
    token = None
    while True:
        params = {"page_size": 2} | ({"page_token": token} if token else {})
        page = client.get(path, params=params).json()
        seen += [item["number"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == [0, 1, 2, 3, 4]

    def numbers(query: str) -> list[int]:
        return [item["number"] for item in client.get(f"{path}?{query}").json()["items"]]

    assert numbers("state=completed") == [1, 3]
    assert numbers("state=running&kind=candidate") == [0, 2, 4]
    assert numbers("kind=final") == []
    for query, pointer in {
        "state=done": "/state",
        "kind=x": "/kind",
        "page_token=x": "/page_token",
    }.items():
        assert pointers(client.get(f"{path}?{query}")) == {pointer}


def test_an_unknown_trial_is_not_found(client: TestClient, search_id: str, driver: Driver) -> None:
    driver.start(0)
    for number in ("1", "-1", "00", "1.0", "x", "9" * 30, "%00", "1%0a"):
        problem(client.get(f"/v1/searches/{search_id}/trials/{number}"), 404)
        problem(client.get(f"/v1/searches/{search_id}/trials/{number}/bundle"), 404)


def test_best_is_the_best_so_far_and_then_the_retrained(
    client: TestClient, search_id: str, driver: Driver
) -> None:
    path = f"/v1/searches/{search_id}/best"
    assert client.get(path).json() == {"items": [], "hypervolume": []}
    for number, accuracy in enumerate((0.5, 0.9, 0.7, 0.8)):
        driver.run(number, accuracy)
    items = client.get(path).json()["items"]
    assert [item["trial"] for item in items] == [1, 3]
    assert items[0]["search_metrics"] == {"val_accuracy": 0.9, "parameters": 1000.0}
    assert items[0]["final_metrics"] is None and items[0]["bundle"] is None
    # after retraining, the third best turns out to be the best
    driver.retrain(4, 1, 0.80, seed=1)
    driver.retrain(5, 1, 0.82, seed=2)
    driver.retrain(6, 3, 0.90, seed=1)
    driver.retrain(7, 3, 0.94, seed=2)
    first, second = client.get(path).json()["items"]
    assert (first["trial"], second["trial"]) == (3, 1)
    assert first["architecture"] == {"family": "cnn_cell", "decisions": {"cells": 4}}
    assert first["final_metrics"]["val_accuracy"] == pytest.approx(
        {"mean": 0.92, "std": 0.02 * 2**0.5, "seeds": 2}
    )
    assert first["final_metrics"]["test_accuracy"]["mean"] == pytest.approx(0.91)
    reliability = client.get(f"{path.removesuffix('best')}report").json()["reliability"]
    assert reliability == {
        "val_accuracy": {
            "candidates": 2,
            "spearman": None,
            "noise": pytest.approx(((2 * 0.01**2 + 2 * 0.02**2) / 2) ** 0.5),
            "spread": pytest.approx(0.11 / 2**0.5),
        }
    }


def test_best_obeys_constraints_beyond_the_first_ranks(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client, constraints=[{"metric": "parameters", "max": 5000}])
    driver = Driver(app.state.sessions, search_id)
    for number in range(3):
        metrics = {"val_accuracy": 0.9, "parameters": 6000.0}
        driver.start(number)
        driver.end(number, 0.9, metrics=metrics)
    driver.run(3, 0.6)
    assert [i["trial"] for i in client.get(f"/v1/searches/{search_id}/best").json()["items"]] == [3]


def test_several_objectives_have_a_hypervolume_over_time(app: FastAPI, client: TestClient) -> None:
    objectives = [{"metric": "val_accuracy"}, {"metric": "parameters", "goal": "minimize"}]
    search_id = submit(client, objectives=objectives, strategy={"name": "nsga2"})
    driver = Driver(app.state.sessions, search_id)
    for number, (accuracy, size) in enumerate(((0.5, 3e3), (0.7, 2e3), (0.6, 2.5e3), (0.9, 1e3))):
        driver.start(number)
        metrics = {"val_accuracy": accuracy, "parameters": size}
        driver.end(number, accuracy, metrics=metrics, fitness=(accuracy, -size))
    answer = client.get(f"/v1/searches/{search_id}/best").json()
    assert [item["trial"] for item in answer["items"]] == [3]
    assert answer["hypervolume"] == [
        {"trial": 1, "hypervolume": pytest.approx(0.5 * 0.5)},
        {"trial": 3, "hypervolume": pytest.approx(1.0)},
    ]


def test_the_report_correlates_proxies_with_results(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    path = f"/v1/searches/{search_id}/report"
    assert client.get(path).json()["rank_correlations"] == {}
    for number, (accuracy, flow) in enumerate(((0.5, 1.0), (0.7, 2.0), (0.6, 3.0))):
        driver.start(number)
        metrics = {"val_accuracy": accuracy, "parameters": 5.0, "synflow": flow}
        driver.end(number, accuracy, metrics=metrics)
    assert client.get(path).json()["rank_correlations"] == {
        "synflow": {"spearman": pytest.approx(0.5), "kendall": pytest.approx(1 / 3), "trials": 3}
    }


# bundles


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("README.md", text)
    return buffer.getvalue()


@pytest.fixture
def published(driver: Driver, settings: ServiceSettings) -> dict[int, bytes]:
    """Candidates 0 and 1, retrained as 2 and 3, with their bundles; 1 won."""
    bundles = {2: zipped("of candidate 0"), 3: zipped("of candidate 1")}
    driver.run(0, 0.9)
    driver.run(1, 0.8)
    driver.retrain(2, 0, 0.7, seed=1)
    driver.retrain(3, 1, 0.95, seed=1)
    for number, content in bundles.items():
        driver.publish(number, content, settings.home)
    driver.finish()
    return bundles


def test_bundles_are_downloaded_whole(
    client: TestClient, search_id: str, published: dict[int, bytes]
) -> None:
    path = f"/v1/searches/{search_id}"
    best = client.get(f"{path}/best/bundle")
    assert best.status_code == 200
    assert best.content == published[3]
    assert best.headers["content-type"] == "application/zip"
    assert best.headers["content-length"] == str(len(published[3]))
    assert best.headers["etag"] == f'"{hashlib.sha256(published[3]).hexdigest()}"'
    assert best.headers["repr-digest"].startswith("sha-256=:")
    assert ".zip" in best.headers["content-disposition"]
    for number, expected in {0: 2, 1: 3, 2: 2, 3: 3}.items():  # by candidate and by final trial
        assert client.get(f"{path}/trials/{number}/bundle").content == published[expected]
    held = client.get(f"{path}/best/bundle", headers={"If-None-Match": best.headers["etag"]})
    assert (held.status_code, held.content) == (304, b"")
    items = client.get(f"{path}/best").json()["items"]
    assert [item["bundle"] for item in items] == [
        f"{path}/trials/1/bundle",
        f"{path}/trials/0/bundle",
    ]
    trials = client.get(f"{path}/trials").json()["items"]
    assert all(trial["bundle"] == f"{path}/trials/{trial['number']}/bundle" for trial in trials)


@pytest.mark.parametrize("damage", ["flipped", "cut", "folder"])
def test_a_damaged_bundle_is_never_served(
    client: TestClient,
    search_id: str,
    settings: ServiceSettings,
    published: dict[int, bytes],
    damage: str,
) -> None:
    file = settings.home / f"artifacts/{search_id}/3/bundle.zip"
    content = bytearray(published[3])
    content[len(content) // 2] ^= 1
    file.unlink()
    if damage == "flipped":
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(published[3][:-1])
    elif damage == "folder":
        file.mkdir()
    document = problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 500)
    assert "damaged" in document["detail"]
    assert str(settings.home) not in str(document)
    assert client.get(f"/v1/searches/{search_id}/trials/2/bundle").content == published[2]


def test_a_bundle_that_somebody_removed_is_gone(
    client: TestClient, search_id: str, settings: ServiceSettings, published: dict[int, bytes]
) -> None:
    (settings.home / f"artifacts/{search_id}/3/bundle.zip").unlink()
    document = problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 410)
    assert "not in the store any more" in document["detail"]
    assert client.get(f"/v1/searches/{search_id}/trials/2/bundle").content == published[2]


def test_there_is_no_bundle_before_the_end(
    client: TestClient, search_id: str, driver: Driver
) -> None:
    driver.run(0, 0.5)
    for which in ("best", "trials/0"):
        document = problem(client.get(f"/v1/searches/{search_id}/{which}/bundle"), 409)
        assert "is running" in document["detail"]
        assert document["state"] == "running"


def test_a_cancelled_search_says_why_it_has_no_bundle(client: TestClient, search_id: str) -> None:
    assert "queue" in problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 409)["detail"]
    client.post(f"/v1/searches/{search_id}/cancel")
    document = problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 409)
    assert "was cancelled before a bundle was published" in document["detail"]


def test_a_failed_search_gives_its_reason(
    client: TestClient, search_id: str, driver: Driver
) -> None:
    driver.queue.finish(driver.claim, SearchState.FAILED, "no trial completed")
    document = problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 409)
    assert "no trial completed" in document["detail"]


def test_a_trial_that_is_not_among_the_best_has_no_bundle(
    client: TestClient, app: FastAPI, search_id: str, driver: Driver, settings: ServiceSettings
) -> None:
    driver.run(0, 0.9)
    driver.run(1, 0.1)
    driver.retrain(2, 0, 0.7, seed=1)
    driver.publish(2, b"zip", settings.home)
    driver.finish()
    detail = problem(client.get(f"/v1/searches/{search_id}/trials/1/bundle"), 409)["detail"]
    assert "/best" in detail


def test_deleting_a_search_removes_its_files(
    client: TestClient, search_id: str, settings: ServiceSettings, published: dict[int, bytes]
) -> None:
    other = settings.home / "artifacts/srch_other/1.zip"
    other.parent.mkdir()
    other.write_bytes(b"kept")
    checkpoint = settings.home / f"checkpoints/{search_id}/2.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    Path(settings.home / f"artifacts/{search_id}/2/bundle.zip").unlink()  # gone already: fine
    assert client.delete(f"/v1/searches/{search_id}").status_code == 204
    problem(client.get(f"/v1/searches/{search_id}/best/bundle"), 404)
    left = [path for path in settings.home.rglob("*") if path.is_file() and ".db" not in path.name]
    assert left == [other]
