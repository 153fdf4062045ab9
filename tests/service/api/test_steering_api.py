"""Waiting for a search, changing it, steering it, deleting it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.sql.tables import Search
from tests.service.support.requests import Driver, pointers, problem, submit

# waiting


def test_waiting_ends_with_a_change(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    etag = client.get(path).headers["etag"]
    timer = threading.Timer(0.4, lambda: client.patch(path, json={"name": "changed"}))
    timer.start()
    started = time.monotonic()
    response = client.get(path, params={"wait": 20}, headers={"If-None-Match": etag})
    assert 0.3 < time.monotonic() - started < 5
    assert response.status_code == 200
    assert response.json()["name"] == "changed"
    timer.join()


def test_waiting_ends_without_a_change(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    etag = client.get(path).headers["etag"]
    started = time.monotonic()
    response = client.get(path, params={"wait": 1}, headers={"If-None-Match": etag})
    assert 0.9 < time.monotonic() - started < 5
    assert response.status_code == 304


def test_waiting_does_not_wait_for_old_news(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    started = time.monotonic()
    response = client.get(path, params={"wait": 30}, headers={"If-None-Match": 'W/"0"'})
    assert response.status_code == 200
    client.post(f"{path}/cancel")
    etag = client.get(path, params={"wait": 30}).headers["etag"]  # ended: nothing will come
    ended = client.get(path, params={"wait": 30}, headers={"If-None-Match": etag})
    assert ended.status_code == 304
    assert time.monotonic() - started < 10


def test_waiting_ends_with_the_search(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    timer = threading.Timer(0.4, lambda: client.post(f"{path}/cancel"))
    timer.start()
    response = client.get(path, params={"wait": 20})
    assert response.json()["state"] == "cancelled"
    timer.join()


def test_waiting_ends_when_the_search_is_deleted(client: TestClient, app: FastAPI) -> None:
    search_id = submit(client)

    def delete() -> None:
        with app.state.sessions.begin() as session:
            session.delete(session.get_one(Search, search_id))

    timer = threading.Timer(0.4, delete)
    timer.start()
    problem(client.get(f"/v1/searches/{search_id}", params={"wait": 20}), 404)
    timer.join()


def test_many_wait_at_once_and_others_are_served(client: TestClient) -> None:
    """More than there are worker threads or connections."""
    path = f"/v1/searches/{submit(client)}"
    etag = client.get(path).headers["etag"]

    def wait(_: int) -> int:
        headers = {"If-None-Match": etag}
        return client.get(path, params={"wait": 30}, headers=headers).status_code

    with ThreadPoolExecutor(80) as pool:
        waiting = [pool.submit(wait, number) for number in range(80)]
        time.sleep(1.0)
        started = time.monotonic()
        assert client.get("/v1/searches").status_code == 200
        assert time.monotonic() - started < 2
        assert not any(one.done() for one in waiting)
        client.patch(path, json={"name": "changed"})
        assert {one.result(timeout=20) for one in waiting} == {200}


def test_waiting_is_bounded(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    for wait in ("-1", "61", "x", "1.5"):
        assert pointers(client.get(f"{path}?wait={wait}")) == {"/wait"}


# changing


def test_a_patch_changes_what_it_names(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client, budget={'trials': 9, 'seconds': 60})}"
    before = client.get(path).json()["spec"]
    response = client.patch(
        path, json={"budget": {"trials": 12}, "resources": {"parallel_trials": 3}}
    )
    assert response.status_code == 200
    search = response.json()
    assert search["spec"] == {
        **before,
        "budget": {"trials": 12, "seconds": 60.0},
        "resources": {**before["resources"], "parallel_trials": 3},
    }
    assert search["progress"]["trials_total"] == 12
    unlimited = client.patch(path, json={"budget": {"seconds": None}}).json()
    assert unlimited["spec"]["budget"] == {"trials": 12, "seconds": None}
    renamed = client.patch(path, json={"name": "a better name"}).json()
    assert renamed["name"] == renamed["spec"]["name"] == "a better name"


def test_a_patch_that_changes_nothing_is_no_news(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    etag = client.get(path).headers["etag"]
    client.patch(path, json={})
    client.patch(path, json={"budget": {"trials": 50}})
    assert client.get(path).headers["etag"] == etag


WRONG_PATCHES: list[tuple[object, str]] = [
    ({"dataset": "wine"}, "/dataset"),
    ({"seed": 1}, "/seed"),
    ({"budget": {"trials": 0}}, "/budget/trials"),
    ({"budget": {"trials": None}}, "/budget/trials"),
    ({"budget": {"minutes": 1}}, "/budget/minutes"),
    ({"budget": None}, "/budget"),
    ({"resources": {"parallel_trials": "4"}}, "/resources/parallel_trials"),
    ({"resources": {"gpus_per_trial": 1}}, "/resources/gpus_per_trial"),
    ({"name": "x" * 201}, "/name"),
    ({"name": ""}, "/name"),
    ([], ""),
]


def test_a_wrong_patch_is_refused(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    before = client.get(path).json()
    for patch, pointer in WRONG_PATCHES:
        assert pointers(client.patch(path, json=patch)) == {pointer}
    assert client.get(path).json() == before


def test_an_ended_search_is_not_changed(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    client.post(f"{path}/cancel")
    document = problem(client.patch(path, json={"name": "late"}), 409)
    assert document["state"] == "cancelled"
    assert document["allowed_states"] == ["paused", "queued", "running"]


# steering


def test_a_waiting_search_is_held_and_released(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    for _ in range(2):  # what is done already is done again
        response = client.post(f"{path}/pause")
        assert (response.status_code, response.json()["state"]) == (202, "paused")
    for _ in range(2):
        response = client.post(f"{path}/resume")
        assert (response.status_code, response.json()["state"]) == (202, "queued")
    for _ in range(2):
        response = client.post(f"{path}/cancel")
        assert (response.status_code, response.json()["state"]) == (202, "cancelled")
    assert client.get(path).json()["ended_at"] is not None
    for action in ("pause", "resume"):
        document = problem(client.post(f"{path}/{action}"), 409)
        assert document["allowed_states"] == ["paused", "queued", "running"]


def test_a_paused_search_is_cancelled_at_once(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    client.post(f"{path}/pause")
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"


def test_a_running_search_is_asked(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    path = f"/v1/searches/{search_id}"
    driver = Driver(app.state.sessions, search_id)
    paused = client.post(f"{path}/pause").json()
    assert (paused["state"], paused["state_reason"]) == ("running", "pause requested")
    assert driver.queue.requests(driver.claim).action == "pause"
    assert client.post(f"{path}/resume").json()["state_reason"] is None
    assert driver.queue.requests(driver.claim).action is None
    client.post(f"{path}/pause")
    cancelled = client.post(f"{path}/cancel").json()
    assert (cancelled["state"], cancelled["state_reason"]) == ("running", "cancel requested")
    etag = client.get(path).headers["etag"]
    assert client.post(f"{path}/cancel").headers["etag"] == etag  # asked once
    for action in ("pause", "resume"):
        problem(client.post(f"{path}/{action}"), 409)
    assert driver.queue.settle(driver.claim) == "cancelled"
    ended = client.get(path).json()
    assert (ended["state"], ended["state_reason"]) == ("cancelled", None)


def test_a_driver_sees_a_changed_budget(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    client.patch(f"/v1/searches/{search_id}", json={"budget": {"trials": 7}})
    assert driver.queue.requests(driver.claim).spec.budget.trials == 7


def test_a_search_that_succeeded_is_not_cancelled(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    Driver(app.state.sessions, search_id).finish()
    document = problem(client.post(f"/v1/searches/{search_id}/cancel"), 409)
    assert document["allowed_states"] == ["cancelled", "paused", "queued", "running"]


def test_progress_and_best_follow_the_journal(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client, budget={"trials": 4, "seconds": 100})
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.5)
    driver.run(1, 0.75)
    search = client.get(f"/v1/searches/{search_id}").json()
    assert search["progress"] == {
        "trials_done": 2,
        "trials_total": 4,
        "baseline_done": 0,
        "baseline_total": 0,
        "epochs_done": 4,
        "elapsed_seconds": 2.0,
        "eta_seconds": 2.0,  # two in two seconds, two are left
    }
    assert search["best"] == {
        "trial": 1,
        "metrics": {"val_accuracy": 0.75, "parameters": 1000.0},
    }
    driver.finish()
    ended = client.get(f"/v1/searches/{search_id}").json()
    assert ended["progress"]["eta_seconds"] is None
    assert ended["started_at"] <= ended["ended_at"]


# deleting


def test_only_an_ended_search_is_deleted(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    document = problem(client.delete(path), 409)
    assert document["allowed_states"] == ["cancelled", "failed", "succeeded"]
    client.post(f"{path}/cancel")
    response = client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    problem(client.get(path), 404)
    problem(client.delete(path), 404)
