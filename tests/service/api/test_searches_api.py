from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.identifiers import is_search_id, new_search_id
from service.sql.dispatchers import Dispatchers, Node
from service.sql.tables import IdempotencyKey, Search
from tests.service.support.requests import BODY, pointers, problem, submit

UNKNOWN = "srch_01a20392-6859-7a02-82c6-809a904a1aff"


def count(app: FastAPI) -> int:
    with app.state.sessions.read() as session:
        return int(session.scalar(select(func.count()).select_from(Search)))


def test_identifiers_sort_by_time() -> None:
    made = [new_search_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert all(is_search_id(one) for one in made)


def test_a_submitted_search_is_queued_and_found(client: TestClient) -> None:
    response = client.post("/v1/searches", json=BODY)
    assert response.status_code == 202
    search = response.json()
    assert response.headers["location"] == f"/v1/searches/{search['id']}"
    assert is_search_id(search["id"])
    assert search["state"] == "queued"
    assert search["progress"] == {
        "trials_done": 0,
        "trials_total": 50,
        "baseline_done": 0,
        "baseline_total": 0,
        "epochs_done": 0,
        "elapsed_seconds": 0.0,
        "eta_seconds": None,
    }
    assert search["best"] is None and search["started_at"] is None and search["ended_at"] is None
    assert datetime.fromisoformat(search["created_at"]).tzinfo is not None
    assert search["name"] == "digits-cnn_cell-regularized_evolution"
    assert search["spec"]["objectives"] == [{"metric": "val_accuracy", "goal": "maximize"}]
    assert search["links"]["trials"] == f"/v1/searches/{search['id']}/trials"
    found = client.get(response.headers["location"])
    assert found.status_code == 200
    assert found.json() == search


def test_a_trial_that_no_node_can_hold_is_refused_where_no_other_may_join(
    app: FastAPI, client: TestClient
) -> None:
    body = {**BODY, "resources": {"gpus_per_trial": 1}}
    dispatchers = Dispatchers(app.state.sessions)
    dispatchers.leave("elsewhere/1/0.00")
    assert (
        client.post("/v1/searches", json=body).status_code == 202
    )  # nobody has said what is there
    dispatchers.beat("a/1/0.00", 3600, None, Node(4, 0))
    for path in ("/v1/searches", "/v1/searches?dry_run=true"):
        refusal = problem(client.post(path, json=body), 422)
        assert [(error["pointer"], error["detail"]) for error in refusal["errors"]] == [
            (
                "/resources/gpus_per_trial",
                "no node can hold a trial with 1 GPUs, they have 4 CPUs and 0 GPUs",
            )
        ]
    large = {**BODY, "resources": {"cpus_per_trial": 5, "gpus_per_trial": 1}}
    cpus, gpus = "/resources/cpus_per_trial", "/resources/gpus_per_trial"
    assert pointers(client.post("/v1/searches", json=large)) == {cpus, gpus}
    dispatchers.beat("b/1/0.00", 3600, None, Node(1, 1))  # each is there, but not on one node
    assert pointers(client.post("/v1/searches", json=large)) == {cpus}
    apart = {**BODY, "resources": {"cpus_per_trial": 4, "gpus_per_trial": 1}}
    assert pointers(client.post("/v1/searches", json=apart)) == {cpus, gpus}
    assert client.post("/v1/searches", json=body).status_code == 202
    dispatchers.beat("c/1/0.00", 3600, None)  # of a cluster that may grow
    assert client.post("/v1/searches", json=large).status_code == 202


def test_a_resolved_spec_is_a_request_for_the_same_search(client: TestClient) -> None:
    first = client.post("/v1/searches", json=BODY).json()["spec"]
    assert client.post("/v1/searches", json=first).json()["spec"] == first


def test_a_dry_run_stores_nothing(app: FastAPI, client: TestClient) -> None:
    response = client.post("/v1/searches?dry_run=true", json=BODY)
    assert response.status_code == 200
    answer = response.json()
    assert answer["size"] > 1e6
    assert len(answer["examples"]) == 3
    assert all(one["parameters"] > 0 and one["flops"] > 0 for one in answer["examples"])
    assert answer["trials"] == 50
    assert answer["training_flops"] > 0
    assert count(app) == 0


def test_a_refused_search_stores_nothing_and_hears_everything(
    app: FastAPI, client: TestClient
) -> None:
    body = {
        "dataset": "digit",
        "space": {"family": "cnn_cell", "channels": {"choice": []}, "nodes": 2.5},
        "training": {"learning_rate": {"low": 0.1, "high": 0.001}},
        "strategy": {"name": "regularized_evolution", "populationsize": 3},
        "budget": {"trials": 10_000_000},
        "colour": "blue",
    }
    assert pointers(client.post("/v1/searches", json=body)) == {
        "/dataset",
        "/space/channels/choice",
        "/space/nodes",
        "/training/learning_rate",
        "/strategy/populationsize",
        "/budget/trials",
        "/colour",
    }
    assert count(app) == 0


# one key, many posts


def test_the_same_key_and_body_give_the_same_search(app: FastAPI, client: TestClient) -> None:
    headers = {"Idempotency-Key": "a-key"}
    first = client.post("/v1/searches", json=BODY, headers=headers)
    # the order of the fields and blanks make no other body
    again = client.post("/v1/searches", json=dict(reversed(BODY.items())), headers=headers)
    assert again.status_code == first.status_code == 202
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert count(app) == 1


def test_the_same_key_with_another_body_is_refused(app: FastAPI, client: TestClient) -> None:
    headers = {"Idempotency-Key": "a-key"}
    client.post("/v1/searches", json=BODY, headers=headers)
    other = client.post("/v1/searches", json={**BODY, "seed": 1}, headers=headers)
    document = problem(other, 422)
    assert document["errors"][0]["pointer"] == "/Idempotency-Key"
    assert document["errors"][0]["in"] == "header"
    assert count(app) == 1


def test_a_key_has_a_form(client: TestClient) -> None:
    for key in ("", "with blank", "x" * 256):
        problem(client.post("/v1/searches", json=BODY, headers={"Idempotency-Key": key}), 422)


def test_a_refused_request_does_not_use_up_its_key(client: TestClient) -> None:
    headers = {"Idempotency-Key": "a-key"}
    problem(client.post("/v1/searches", json={**BODY, "seed": -1}, headers=headers), 422)
    assert client.post("/v1/searches", json=BODY, headers=headers).status_code == 202


def test_parallel_posts_with_one_key_make_one_search(app: FastAPI, client: TestClient) -> None:
    client.post("/v1/searches?dry_run=true", json=BODY)  # the slow imports are done
    start = threading.Barrier(16)

    def post(number: int) -> tuple[int, str]:
        start.wait()
        body = BODY if number % 4 else {**BODY, "seed": 1}
        response = client.post("/v1/searches", json=body, headers={"Idempotency-Key": "one"})
        return response.status_code, response.json().get("id", "")

    with ThreadPoolExecutor(16) as pool:
        answers = Counter(pool.map(post, range(16)))
    assert count(app) == 1
    accepted = {one: times for one, times in answers.items() if one[0] == 202}
    assert len(accepted) == 1
    assert sum(accepted.values()) in (4, 12)  # all posts of the body that won
    assert {status for status, _ in answers} == {202, 422}
    with app.state.sessions.read() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1


# reading


def test_a_list_has_pages_newest_first(client: TestClient) -> None:
    made = [submit(client, seed=seed) for seed in range(5)]
    seen: list[str] = []
    token = None
    while True:
        params = {"page_size": 2} | ({"page_token": token} if token else {})
        page = client.get("/v1/searches", params=params).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == made[::-1]


def test_a_search_that_comes_between_two_pages_moves_nothing(client: TestClient) -> None:
    made = [submit(client, seed=seed) for seed in range(3)]
    first = client.get("/v1/searches", params={"page_size": 2}).json()
    submit(client, seed=9)
    token = first["next_page_token"]
    second = client.get("/v1/searches", params={"page_size": 2, "page_token": token}).json()
    assert [item["id"] for item in second["items"]] == [made[0]]


def test_a_list_is_filtered_by_state(client: TestClient) -> None:
    kept, other = submit(client), submit(client)
    client.post(f"/v1/searches/{other}/cancel")
    for state, expected in (("queued", [kept]), ("cancelled", [other]), ("failed", [])):
        items = client.get("/v1/searches", params={"state": state}).json()["items"]
        assert [item["id"] for item in items] == expected


WRONG_QUERIES = {
    "page_size=0": "/page_size",
    "page_size=101": "/page_size",
    "page_size=many": "/page_size",
    "page_token=abc": "/page_token",
    "page_token=%00": "/page_token",
    "page_token=WzEse31d": "/page_token",  # [1,{}]: of another list
    "page_token=" + "x" * 301: "/page_token",
    "state=done": "/state",
    "pagesize=3": "/pagesize",
    "page_size=3&page_size=4": "/page_size",
}


def test_a_wrong_parameter_is_refused(client: TestClient) -> None:
    for query, pointer in WRONG_QUERIES.items():
        document = problem(client.get(f"/v1/searches?{query}"), 422)
        found = [(item["in"], item["pointer"]) for item in document["errors"]]
        assert found == [("query", pointer)], query


def test_a_token_keeps_its_filters(client: TestClient) -> None:
    for seed in range(2):
        submit(client, seed=seed)
    token = client.get("/v1/searches?page_size=1&state=queued").json()["next_page_token"]
    assert client.get(f"/v1/searches?state=queued&page_token={token}").status_code == 200
    assert "/page_token" in pointers(client.get(f"/v1/searches?page_token={token}"))


def test_a_held_version_is_not_sent_again(client: TestClient) -> None:
    path = f"/v1/searches/{submit(client)}"
    etag = client.get(path).headers["etag"]
    for held in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        response = client.get(path, headers={"If-None-Match": held})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    for other in ('W/"0"', '"x"', "", etag.strip('W/"')):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200
    client.patch(path, json={"name": "new"})
    fresh = client.get(path, headers={"If-None-Match": etag})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != etag


NO_SEARCHES = (UNKNOWN, "1", "srch_", UNKNOWN.upper(), "%00", "..%2f..", "x" * 5000)
ROUTES = (
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/cancel"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("GET", "/trials"),
    ("GET", "/trials/0"),
    ("GET", "/trials/0/bundle"),
    ("GET", "/best"),
    ("GET", "/best/bundle"),
    ("POST", "/best/predict"),
    ("GET", "/events"),
)


def test_an_unknown_search_is_not_found(client: TestClient) -> None:
    for search_id in NO_SEARCHES:
        for method, path in ROUTES:
            body = {"json": {}} if method == "PATCH" or path == "/best/predict" else {}
            problem(client.request(method, f"/v1/searches/{search_id}{path}", **body), 404)
