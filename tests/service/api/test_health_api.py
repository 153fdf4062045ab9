from __future__ import annotations

import subprocess
import sys
import textwrap

from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from models.family import families
from models.operations import operations
from search.fidelity import fidelities
from search.spaces import spaces
from search.strategy import strategies
from tests.service.support.requests import Driver, problem, submit


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


def test_a_migrated_server_is_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


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
    body = {"dataset": "digits", "space": {"family": "cnn_cell", "topology": "nasbench201"}}
    answer = client.post(path, json=body).json()
    assert answer["size"] == 5**6  # the NAS-Bench-201 cell: 5 operations on 6 edges
    assert len(answer["examples"]) == 3
    assert all(example["parameters"] > 0 for example in answer["examples"])
    found = problem(client.post(path, json={**body, "strategy": {}, "space": {}}), 422)["errors"]
    assert {item["pointer"] for item in found} == {"/strategy", "/space/family"}


def test_the_api_never_imports_ray(tmp_path: object) -> None:
    """And torch not before it is ready. In a process of its own, for here it is all loaded."""
    script = f"""
        import sys
        from fastapi.testclient import TestClient
        from service.api.app import create_app
        from service.sql.database import migrate
        from service.settings import ServiceSettings

        settings = ServiceSettings(home={str(tmp_path)!r})
        migrate(settings.database_url)
        app = create_app(settings)
        assert "torch" not in sys.modules
        with TestClient(app) as client:
            assert client.get("/readyz").status_code == 200
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
        assert "torch" in sys.modules
        assert not [name for name in sys.modules if name.partition(".")[0] == "ray"]
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
