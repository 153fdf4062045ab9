from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from models.family import families
from models.operations import operations
from models.processes.names import is_gone, process_name
from search.fidelity import fidelities
from search.spaces import spaces
from search.strategy import strategies
from service.api.health.absence import tell_absence
from service.sql.dispatchers import Dispatchers
from service.store.store import Store
from tests.service.support.requests import Driver, problem, submit
from tests.service.support.rows import add_search, read_search


def samples(client: TestClient) -> dict[tuple[str, str], float]:
    """Every figure by name and labels."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


PARTS = ("database", "migrations", "store", "dispatcher", "ray")
OWNER = "elsewhere/1/0.00"


def states(document: dict[str, Any]) -> dict[str, str]:
    return {part["name"]: part["status"] for part in document["parts"]}


def test_a_migrated_server_is_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    document = client.get("/readyz").json()
    assert document["status"] == "ok"
    assert states(document) == dict.fromkeys(PARTS, "ok")


@pytest.fixture
def dispatchers(app: FastAPI) -> Dispatchers:
    return Dispatchers(app.state.sessions)


def test_without_a_dispatcher_nothing_runs(client: TestClient, dispatchers: Dispatchers) -> None:
    dispatchers.leave(OWNER)
    document = problem(client.get("/readyz"), 503)
    assert document["type"] == "urn:nasmith:problem:not-ready"
    assert states(document)["dispatcher"] == "missing"
    assert states(document)["ray"] == "unknown"
    assert "nasmith dispatch" in document["detail"]
    assert client.get("/healthz").status_code == 200
    alone = client.get("/readyz?exclude=dispatcher").json()
    assert states(alone) == dict.fromkeys(PARTS[:3], "ok")


def test_a_dispatcher_of_this_machine_that_was_killed_is_missing_at_once(
    client: TestClient, dispatchers: Dispatchers
) -> None:
    dispatchers.leave(OWNER)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as dispatcher:
        dispatchers.beat(process_name(dispatcher.pid), 3600.0, None)
        assert client.get("/readyz").status_code == 200
        dispatcher.kill()
    assert states(problem(client.get("/readyz"), 503))["dispatcher"] == "missing"


def test_without_ray_nothing_runs(client: TestClient, dispatchers: Dispatchers) -> None:
    dispatchers.beat(OWNER, 3600.0, "Ray: no answer from the Ray cluster head:6379")
    document = problem(client.get("/readyz"), 503)
    assert document["detail"] == "ray: no answer from the Ray cluster head:6379"
    assert states(document) == {**dict.fromkeys(PARTS, "ok"), "ray": "missing"}
    dispatchers.beat("elsewhere/2/0.00", 3600.0, None)  # one that can run them is enough
    assert client.get("/readyz").status_code == 200


def test_a_dispatcher_without_drivers_is_not_enough(
    client: TestClient, dispatchers: Dispatchers
) -> None:
    dispatchers.beat(OWNER, 3600.0, "a driver: the last one did not start (code 1)")
    document = problem(client.get("/readyz"), 503)
    assert states(document) == {**dict.fromkeys(PARTS, "ok"), "dispatcher": "missing"}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_store_that_is_missing_is_named(client: TestClient, app: FastAPI, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    app.state.store = Store(f"file://{tmp_path}/file/store")
    document = problem(client.get("/readyz"), 503)
    assert states(document) == {**dict.fromkeys(PARTS, "ok"), "store": "missing"}
    assert f"{tmp_path}/file" in document["detail"]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_search_says_that_nobody_runs_it(app: FastAPI, dispatchers: Dispatchers) -> None:
    dispatchers.leave(OWNER)
    search_id = add_search(app.state.sessions)

    async def look(until: str) -> None:
        watching = asyncio.create_task(tell_absence(app.state.sessions, interval=0.02))
        async with asyncio.timeout(30):
            while until not in (read_search(app.state.sessions, search_id).state_reason or ""):
                await asyncio.sleep(0.02)
        watching.cancel()

    asyncio.run(look("waiting for a dispatcher: none is alive"))
    dispatchers.beat(OWNER, 3600.0, None)
    dispatchers.explain(is_gone)
    assert read_search(app.state.sessions, search_id).state_reason is None


def test_the_version_names_what_shapes_results(client: TestClient) -> None:
    assert client.get("/version").json().keys() == {"nasmith", "python", "torch", "ray"}


def test_metrics_count_requests_and_searches(app: FastAPI, client: TestClient) -> None:
    first, second = submit(client), submit(client)
    Driver(app.state.sessions, first)
    client.get(f"/v1/searches/{second}")
    client.get("/v1/searches/unknown")
    client.get("/nothing")
    client.request("BREW", "/healthz")
    found = samples(client)
    assert found["nasmith_searches", "state=running"] == 1
    assert found["nasmith_searches", "state=queued"] == 1
    assert found["nasmith_searches", "state=failed"] == 0
    assert found["nasmith_queue_length", ""] == 1
    assert found["nasmith_queue_oldest_seconds", ""] >= 0
    route = "route=/v1/searches/{search_id}"
    assert found["nasmith_http_requests_total", f"method=GET,{route},status=200"] == 1
    assert found["nasmith_http_requests_total", f"method=GET,{route},status=404"] == 1
    assert found["nasmith_http_requests_total", "method=GET,route=unknown,status=404"] == 1
    methods = {labels.split(",")[0] for name, labels in found if "http_requests_total" in name}
    assert methods <= {"method=GET", "method=POST", "method=other"}
    assert found["nasmith_http_request_seconds_count", f"method=GET,{route}"] == 2


def test_the_catalog_lists_every_registered_name(client: TestClient) -> None:
    catalog = client.get("/v1/catalog").json()

    def names(kind: str) -> list[str]:
        return [entry["name"] for entry in catalog[kind]]

    assert names("families") == list(spaces) and {*families, "table"} == set(spaces)
    assert names("strategies") == list(strategies)
    assert names("fidelities") == list(fidelities)
    assert names("operations") == list(operations)
    assert "digits" in names("datasets")
    assert names("optimizers") == [
        "sgd",
        "momentum",
        "nesterov",
        "adagrad",
        "rmsprop",
        "adam",
        "adamw",
    ]
    assert "lenet-5" in names("presets")
    assert {"val_accuracy", "test_accuracy", "parameters", "flops"} <= set(names("metrics"))
    metrics = {task["name"]: task["default_metric"] for task in catalog["tasks"]}
    assert metrics["image_classification"] == "val_accuracy"
    evolution = catalog["strategies"][names("strategies").index("regularized_evolution")]
    assert {"population_size", "sample_size"} <= evolution["settings"]["properties"].keys()
    assert "name" not in evolution["settings"]["properties"]
    assert evolution["description"]
    (table,) = [entry for entry in catalog["families"] if entry["name"] == "table"]
    assert (table["tasks"], table["settings"]["properties"]) == (["table"], {})
    assert metrics["table"] == "search_score"


def test_a_held_catalog_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/v1/catalog").headers["etag"]
    assert client.get("/v1/catalog", headers={"If-None-Match": etag}).status_code == 304


def test_a_space_is_validated_alone(client: TestClient) -> None:
    path = "/v1/search-spaces/validate"
    cell = {"family": "cnn_cell", "topology": "nasbench201", "head_pool": 1}
    body = {"dataset": "digits", "space": cell}
    answer = client.post(path, json=body).json()
    assert answer["size"] == 5**6  # the NAS-Bench-201 cell: 5 operations on 6 edges
    assert len(answer["examples"]) == 3
    assert all(example["parameters"] > 0 for example in answer["examples"])
    found = problem(client.post(path, json={**body, "strategy": {}, "space": {}}), 422)["errors"]
    assert {item["pointer"] for item in found} == {"/strategy", "/space/family"}


def test_the_api_never_imports_ray(tmp_path: object) -> None:
    """And nothing else that it can do without before it is ready, on a home that is new. In a
    process of its own, for here it is all loaded.
    """
    script = f"""
        import sys, time
        from service.settings import ServiceSettings
        from service.server.schema import migrated_meanwhile

        settings = ServiceSettings(home={str(tmp_path)!r})
        with migrated_meanwhile(settings.database_url):
            from service.api import app as module
        module._FIRST_SEARCH_SECONDS, warm = 0, []
        app = module.create_app(settings, on_warm=lambda: warm.append("sympy" in sys.modules))
        assert not {{"torch", "numpy", "alembic"}} & set(sys.modules)
        from fastapi.testclient import TestClient

        with TestClient(app, "http://localhost") as client:
            assert client.get("/readyz?exclude=dispatcher").status_code == 200
            body = {{
                "dataset": "digits",
                "space": {{"family": "cnn_cell"}},
                "strategy": {{"name": "random"}},
            }}
            path = client.post("/v1/searches", json=body).headers["location"]
            for part in ("", "/trials", "/best", "/best/bundle"):
                client.get(path + part)
            client.post("/v1/searches?dry_run=true", json=body)
            client.post(path + "/cancel")
            for other in ("/v1/catalog", "/openapi.json", "/metrics", "/docs", path + "/events"):
                assert client.get(other).status_code == 200
            while len(warm) < 2:
                time.sleep(0.01)
        assert warm[-1], "what costs of networks need is there before somebody asks"
        assert "torch" in sys.modules
        assert not [name for name in sys.modules if name.partition(".")[0] == "ray"]
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
