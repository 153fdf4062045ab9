"""Uploads over the API: what is stored, what is refused, who may see it, when it may go."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from models.datasets.reference import load_dataset
from models.processes.names import process_name
from service.api.datasets import intake
from service.identifiers import new_dataset_id
from service.settings import ServiceSettings
from service.sql.dataset_facts import TenantDatasets
from service.sql.tables import Dataset, Upload
from service.store.leftovers import Leftovers
from tests.service.api.test_tenants import become, other
from tests.service.support.requests import BODY, problem, submit

__all__ = ["other"]


def images(classes: int = 2) -> bytes:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    np.savez(buffer, x=rng.integers(0, 255, (60, 8, 8), np.uint8), y=np.arange(60) % classes)
    return buffer.getvalue()


def add(
    client: TestClient, name: str = "mine", content: bytes | None = None, **changes: Any
) -> Response:
    fields = {"name": name, "task": "image_classification", **changes}
    file = ("squares.npz", images() if content is None else content)
    return client.post("/v1/datasets", data=fields, files={"file": file})


def add_row(app: FastAPI, name: str, tenant: str = "default", **columns: Any) -> str:
    """A dataset as an upload leaves it, without its file; its id."""
    facts = {"task": {"name": "image_classification", "input_shape": [1, 8, 8], "outputs": 2}}
    values = {
        "id": new_dataset_id(),
        "task": "image_classification",
        "format": "image_arrays",
        "options": {},
        "facts": {**facts, "samples": {"train": 1, "validation": 1, "test": 1}},
        "fingerprint": "f" * 64,
        "source_sha256": "a" * 64,
        "path": f"datasets/{name}/{'b' * 64}.safetensors",
        "sha256": "b" * 64,
        "size_bytes": 1,
        "created_at": datetime.now(UTC),
    }
    with app.state.sessions.begin() as session:
        session.add(Dataset(name=name, tenant_id=tenant, **{**values, **columns}))
    return str({**values, **columns}["id"])


def files_of(settings: ServiceSettings) -> list[Path]:
    return [path for path in (settings.home / "datasets").rglob("*") if path.is_file()]


def test_an_upload_becomes_a_dataset_that_searches_name(
    app: FastAPI, client: TestClient, settings: ServiceSettings
) -> None:
    response = add(client, options='{"split": {"validation": 0.25, "test": 0.25, "seed": 3}}')
    assert response.status_code == 201, response.text
    assert response.headers["location"] == "/v1/datasets/mine"
    dataset = response.json()
    assert dataset["samples"] == {"train": 30, "validation": 15, "test": 15}
    assert (dataset["input_shape"], dataset["outputs"], dataset["classes"]) == (
        [1, 8, 8],
        2,
        [0, 1],
    )
    assert client.get("/v1/datasets/mine").json() == dataset
    listed = {entry["name"]: entry for entry in client.get("/v1/datasets").json()["items"]}
    assert listed["mine"] == dataset and listed["digits"]["source"] == "named"
    (file,) = files_of(settings)
    again = add(client, options='{"split": {"validation": 0.25, "test": 0.25, "seed": 3}}')
    assert (again.status_code, again.json()) == (200, dataset)
    assert "another dataset" in problem(add(client, content=images(3)), 409)["detail"]
    assert files_of(settings) == [file]

    search_id = submit(client, dataset="mine")
    spec = client.get(f"/v1/searches/{search_id}").json()["spec"]
    assert spec["dataset"] == "mine"
    facts = TenantDatasets(app.state.sessions, "default", settings.store_url)("mine")
    assert load_dataset(facts.reference).fingerprint == facts.fingerprint == dataset["fingerprint"]

    in_use = problem(client.delete("/v1/datasets/mine"), 409)
    assert in_use["search"] == search_id
    client.post(f"/v1/searches/{search_id}/cancel")
    assert client.delete("/v1/datasets/mine").status_code == 204
    assert files_of(settings) == [] and not file.parent.exists()
    problem(client.get("/v1/datasets/mine"), 404)
    problem(client.post("/v1/searches", json={**BODY, "dataset": "mine"}), 422)


def test_a_table_tells_its_columns_what_was_guessed_and_what_knows_nothing(
    client: TestClient,
) -> None:
    rows = [f"k{i};{i * 7 % 50},5;{'ja' if i % 4 else 'nein'}" for i in range(100)]
    rows[2] = "k2;odd;ja"
    content = "\n".join(["key;size;bought", *rows]).encode()
    response = add(
        client,
        content=content,
        task="tabular_classification",
        options='{"target": "bought", "columns": {"key": "ignore"}}',
    )
    assert response.status_code == 201, response.text
    dataset = client.get("/v1/datasets/mine").json()
    assert dataset == response.json()
    told = {column["name"]: column for column in dataset["columns"]}
    assert list(told) == ["key", "size", "bought"]
    assert {name: (c["kind"], c["role"], c["missing"]) for name, c in told.items()} == {
        "key": ("identifier", "ignored", 0),
        "size": ("number", "input", 1),
        "bought": ("category", "target", 0),
    }
    warnings = {warning["code"]: warning for warning in dataset["warnings"]}
    assert {"separator_guessed", "decimal_guessed", "bad_cells", "few_samples"} <= warnings.keys()
    assert warnings["bad_cells"]["where"] == "row 4, column 'size'"
    assert warnings["bad_cells"]["count"] == 1
    assert dataset["baseline"]["val_accuracy"] == pytest.approx(0.75, abs=0.01)


def test_labels_may_have_a_column_each(client: TestClient) -> None:
    rows = [f"{i * 7 % 50}.5,{int(i % 2 == 0)},{int(i % 3 == 0)}" for i in range(60)]
    response = add(
        client,
        content="\n".join(["size,red,big", *rows]).encode(),
        task="multilabel_classification",
        options='{"target": ["red", "big"]}',
    )
    assert response.status_code == 201, response.text
    dataset = response.json()
    assert (dataset["task"], dataset["outputs"]) == ("multilabel_classification", 2)
    assert dataset["classes"] == ["red", "big"]
    roles = {column["name"]: (column["kind"], column["role"]) for column in dataset["columns"]}
    assert roles["red"] == roles["big"] == ("boolean", "target")
    (none,) = (warning for warning in dataset["warnings"] if warning["code"] == "no_labels")
    assert none["count"] == 20  # neither even nor divisible by three
    # In the order of the shares all samples are alike: the precision is the share of the label.
    assert dataset["baseline"]["val_average_precision"] == pytest.approx(5 / 12, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"name": "../mine"}, "/name", "is 1 to 100 of"),
        ({"name": "digits"}, "/name", "everybody has"),
        ({"task": "sorting"}, "/task", "unknown task 'sorting', known are"),
        ({"options": "{"}, "/options", "not JSON"),
        ({"options": '{"split": {"test": 2}}'}, "/options/split/test", "less than 1"),
        ({"options": '{"windows": 2}'}, "/options/windows", "not permitted"),
        ({"options": '{"window": 2}'}, "/options/window", "no meaning"),
        ({"seed": "1"}, "/seed", "unknown field"),
        ({"content": b"PK"}, "/file", "squares.npz: not a file for image_classification"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    client: TestClient,
    settings: ServiceSettings,
    changes: dict[str, Any],
    pointer: str,
    detail: str,
) -> None:
    errors = problem(add(client, **changes), 422)["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert detail in errors[0]["detail"]
    assert files_of(settings) == []
    assert client.get("/v1/datasets/mine").status_code == 404


def test_an_upload_that_takes_longer_is_told_while_it_is_read(
    app: FastAPI, client: TestClient, settings: ServiceSettings
) -> None:
    """With no patience at all every answer is 202; then the reader's word stands in the dataset."""
    app.state.intake.patience = 0.0
    broken = add(client, "broken", b"PK")
    taken = add(client)
    assert broken.status_code == taken.status_code == 202
    assert taken.headers["location"] == "/v1/datasets/mine"
    assert int(taken.headers["retry-after"]) == 1, "two files wait"
    assert (taken.json()["state"], taken.json()["format"]) == ("reading", None)
    assert add(client).status_code == 202, "the same upload again is the same"
    problem(add(client, task="sequence_classification"), 409)
    said = problem(client.post("/v1/searches", json={**BODY, "dataset": "mine"}), 422)
    assert "is being read" in said["detail"]

    ready, failed = (read_to_the_end(client, name) for name in ("mine", "broken"))
    assert (ready["state"], ready["format"], ready["reason"]) == ("ready", "image_arrays", None)
    assert failed["state"] == "failed"
    assert "retry-after" not in client.get("/v1/datasets/mine").headers
    assert "squares.npz: not a file for image_classification" in failed["reason"]
    listed = {d["name"]: d["state"] for d in client.get("/v1/datasets").json()["items"]}
    assert listed["mine"] == "ready" and listed["broken"] == "failed"
    said = problem(client.post("/v1/searches", json={**BODY, "dataset": "broken"}), 422)
    assert "could not be read: squares.npz" in said["detail"]

    assert add(client).status_code == 200
    assert len(files_of(settings)) == 1


def read_to_the_end(client: TestClient, name: str) -> dict[str, Any]:
    while True:
        dataset: dict[str, Any] = client.get(f"/v1/datasets/{name}").json()
        if dataset["state"] != "reading":
            return dataset
        time.sleep(0.05)


def upload_row(app: FastAPI, name: str, **columns: Any) -> None:
    values = {
        "id": new_dataset_id(),
        "tenant_id": "default",
        "task": "image_classification",
        "options": {},
        "source_sha256": "a" * 64,
        "size_bytes": 1,
        "reader": process_name(),
        "created_at": datetime.now(UTC),
    }
    with app.state.sessions.begin() as session:
        session.add(Upload(name=name, **{**values, **columns}))


def test_what_nobody_reads_any_more_has_failed(app: FastAPI, client: TestClient) -> None:
    machine, pid, started = process_name().rsplit("/", 2)
    mine = new_dataset_id()
    app.state.intake._sizes |= {mine: 1, **dict.fromkeys(map(str, range(99)), 1)}
    upload_row(app, "here", id=mine)
    upload_row(app, "ended", reader=process_name())
    upload_row(app, "elsewhere", reader="another-machine/1/0.00")
    upload_row(app, "killed", reader=f"{machine}/{pid}/{float(started) - 3600:.2f}")
    upload_row(app, "lost", reader="another/1/0.00", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    app.state.intake.give_up_lost()
    assert client.get("/v1/datasets/here").headers["retry-after"] == "11", "100 wait"
    states = {name: client.get(f"/v1/datasets/{name}").json() for name in ("here", "elsewhere")}
    assert {name: read["state"] for name, read in states.items()} == dict.fromkeys(
        states, "reading"
    )
    for name in ("killed", "lost", "ended"):
        found = client.get(f"/v1/datasets/{name}").json()
        assert found["state"] == "failed" and "upload it again" in found["reason"]
        assert client.delete(f"/v1/datasets/{name}").status_code == 204
        assert client.get(f"/v1/datasets/{name}").status_code == 404


def test_a_full_queue_refuses_at_once(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_WAITING", 0)
    refused = add(client)
    assert "uploads wait" in problem(refused, 503)["detail"]
    assert int(refused.headers["retry-after"]) > 0


def test_a_form_is_a_form_of_limited_size(app: FastAPI, client: TestClient) -> None:
    problem(client.post("/v1/datasets", json={}), 415)
    problem(client.post("/v1/datasets", files={"file": ("x", b"")}), 422)
    app.state.settings = app.state.settings.model_copy(update={"max_upload_bytes": 2048})
    problem(add(client, content=b"x" * 2_000_000), 413)


def test_a_dataset_is_its_tenants_own(app: FastAPI, client: TestClient, other: str) -> None:
    add_row(app, "mine")
    become(app, other)
    problem(client.get("/v1/datasets/mine"), 404)
    problem(client.delete("/v1/datasets/mine"), 404)
    names = [entry["name"] for entry in client.get("/v1/datasets").json()["items"]]
    assert "mine" not in names
    refused = problem(client.post("/v1/searches", json={**BODY, "dataset": "mine"}), 422)
    assert "mine" not in refused["errors"][0]["detail"].partition("known are")[2]
    add_row(app, "mine", other, fingerprint="e" * 64)
    assert client.get("/v1/datasets/mine").json()["fingerprint"] == "e" * 64
    become(app, "default")
    assert client.get("/v1/datasets/mine").json()["fingerprint"] == "f" * 64


def test_pages_hold_own_and_named_datasets_by_name(app: FastAPI, client: TestClient) -> None:
    for name in ("a", "Z", "e"):
        add_row(app, name)
    seen, query = [], {"page_size": "1"}
    while True:
        page = client.get("/v1/datasets", params=query).json()
        seen += [entry["name"] for entry in page["items"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    everything = [e["name"] for e in client.get("/v1/datasets?page_size=100").json()["items"]]
    assert seen == everything == sorted(everything) and {"Z", "a", "digits", "e"} <= set(seen)


def test_a_row_that_an_older_version_wrote_spoils_no_list(app: FastAPI, client: TestClient) -> None:
    """SQLite takes half of a surrogate pair, which no answer can hold; PostgreSQL never did."""
    add_row(app, "mine")
    if app.state.sessions.engine.dialect.name == "sqlite":
        with app.state.sessions.begin() as session:
            session.execute(
                text("UPDATE datasets SET options = :o"), {"o": '{"target": "\\ud800"}'}
            )
    answer = client.get("/v1/datasets")
    assert answer.status_code == client.get("/v1/datasets/mine").status_code == 200
    assert "mine" in {dataset["name"] for dataset in answer.json()["items"]}


def test_files_without_a_row_are_swept_when_they_are_old(
    app: FastAPI, settings: ServiceSettings
) -> None:
    kept = add_row(app, "mine", id="data_01890a5d-ac96-774b-bcce-b302099a8058")
    young, old = new_dataset_id(), "data_01890a5d-ac96-774b-bcce-b302099a8057"
    reading = "data_01890a5d-ac96-774b-bcce-b302099a8059"  # in a queue for hours
    upload_row(app, "large", id=reading)
    for name in (kept, reading, young, old, "by-hand"):
        (settings.home / "datasets" / name).mkdir(parents=True)
    Leftovers(app.state.sessions, settings.store_url).remove_all()
    left = {path.name for path in (settings.home / "datasets").iterdir()}
    assert left == {kept, reading, young, "by-hand"}
