"""A search that ran through the real queue and journal, repeated from what REST says of it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from search.request.read import stored_spec
from search.testing.small_graphs import citations
from service.commands.replaying import facts_from, replayed
from service.settings import ServiceSettings
from service.sql.database import DEFAULT_TENANT
from service.sql.dataset_facts import TenantDatasets
from tests.service.support.requests import run_search


@pytest.mark.parametrize(
    "strategy",
    [{"name": "regularized_evolution", "population_size": 5}, {"name": "local_search"}],
    ids=["regularized_evolution", "local_search"],
)
def test_what_rest_says_proves_the_same_proposals(
    app: FastAPI, client: TestClient, strategy: dict[str, Any]
) -> None:
    search_id = run_search(app, client, strategy=strategy, budget={"trials": 30})
    spec = stored_spec(client.get(f"/v1/searches/{search_id}").json()["spec"])
    path = f"/v1/searches/{search_id}/trials?page_size=100"
    trials: list[dict[str, Any]] = client.get(path).json()["items"]
    same = {"asks": len(trials), "differences": 0, "difference": None}
    assert replayed(spec, trials) == {"format": 2, **same}

    other = replayed(spec.model_copy(update={"seed": 1}), trials)
    assert other["differences"] > 20
    first = next(trial for trial in trials if trial["origin"] is None)  # after the known networks
    assert other["difference"]["trial"] == first["number"]
    assert other["difference"]["recorded"]["architecture"] == first["architecture"]
    assert other["difference"]["replayed"] != other["difference"]["recorded"]

    forged = [{**trial, "fitness": [1.0]} if trial["number"] == 3 else trial for trial in trials]
    late = replayed(spec, forged)["difference"]
    assert late["trial"] > 3

    older = spec.to_json()
    del older["format"]  # as it was stored before there were formats
    by_older = replayed(stored_spec(older), trials)
    assert by_older["format"] == 1 and by_older["differences"] > 20

    torn = [trial for trial in trials if trial["number"] != 3]
    assert "trial 4 was asked for after" in replayed(spec, torn)["difference"]["reason"]


@pytest.mark.parametrize(
    ("method", "inherits"), [("darts", False), ("enas", False), ("random_sharing", True)]
)
def test_rest_shows_what_supernets_derived_and_proves_what_came_of_it(
    app: FastAPI, client: TestClient, method: str, inherits: bool
) -> None:
    strategy = {"name": method, "seeds": 2, "inherit_weights": inherits}
    search_id = run_search(app, client, strategy=strategy)
    spec = stored_spec(client.get(f"/v1/searches/{search_id}").json()["spec"])
    trials = client.get(f"/v1/searches/{search_id}/trials").json()["items"]
    kinds = [trial["kind"] for trial in trials]
    assert kinds == ["supernet", "supernet", "candidate", "candidate", "final"]
    for supernet, candidate in zip(trials[:2], trials[2:4], strict=True):
        assert supernet["architecture"] is None and supernet["supernet"]["method"] == method
        assert supernet["derived"] == supernet["curve"][0]["derived"] == candidate["architecture"]
        assert candidate["derived"] is None and candidate["supernet"] is None
        assert candidate["weights_from"] == (supernet["number"] if inherits else None)
    assert [trial["weights_from"] for trial in (*trials[:2], trials[4])] == [None] * 3
    same = {"asks": 5, "differences": 0, "difference": None}
    assert replayed(spec, trials) == {"format": 2, **same}
    forged = [{**t, "weights_from": 1} if t["number"] == 2 else t for t in trials]
    assert replayed(spec, forged)["difference"]["trial"] == 2


@pytest.mark.parametrize("backend", ["sqlite"])
def test_rest_says_of_a_dataset_what_a_space_needs(
    app: FastAPI, client: TestClient, settings: ServiceSettings
) -> None:
    numbers = "".join(f"{n},{n * n % 7},{'even' if n % 2 == 0 else 'odd'}\n" for n in range(60))
    steps = "".join(f"{n},{n * n % 7}\n" for n in range(60))
    graph = io.BytesIO()
    np.savez(graph, **citations())
    windows = {"time": "number", "target": "rest", "window": 4, "horizon": 2}
    uploads: list[tuple[str, str, str, bytes, dict[str, Any]]] = [
        (
            "numbers",
            "tabular_classification",
            "numbers.csv",
            f"number,rest,kind\n{numbers}".encode(),
            {"target": "kind"},
        ),
        ("steps", "forecasting", "steps.csv", f"number,rest\n{steps}".encode(), windows),
        ("words", "node_classification", "words.npz", graph.getvalue(), {}),
    ]
    for name, task, filename, content, options in uploads:
        fields = {"name": name, "task": task, "options": json.dumps(options)}
        answer = client.post("/v1/datasets", data=fields, files={"file": (filename, content)})
        assert answer.status_code == 201, answer.text
    lookup = TenantDatasets(app.state.sessions, DEFAULT_TENANT, settings.store_url)
    for name in ("numbers", "steps", "words", "digits"):
        known, facts = lookup(name), facts_from(client.get(f"/v1/datasets/{name}").json())
        assert (facts.task, facts.fingerprint) == (known.task, known.fingerprint)
        assert facts.sizes == known.sizes
