"""The best model asked by the server: what people write in, what the bundle says out."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx2
import pandas as pd
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from safetensors.torch import load_file

from nasmith import Client, InvalidRequestError
from service.api.turns import Turns
from service.settings import ServiceSettings
from tests.models.support.bundles import bundle_of
from tests.models.support.uploads import csv, people, read
from tests.service.support.requests import Driver, pointers, problem, submit

MANY = 60
"""More than the 40 threads that all routes share."""

ROW = {"age": 41.5, "income": "1000", "city": "Rome", "score": 3}


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """What is asked of here does not depend on the database."""
    return str(request.param)


@pytest.fixture
def search_id(client: TestClient) -> str:
    return submit(client)


@pytest.fixture
def driver(app: FastAPI, search_id: str) -> Driver:
    return Driver(app.state.sessions, search_id)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("table")
    dataset = read(folder, csv(people()), "tabular_classification", target="label")
    place = bundle_of(dataset, "mlp", folder)
    return Path(shutil.make_archive(str(folder / "bundle"), "zip", place)).read_bytes()


def test_the_best_model_predicts_rows(
    client: TestClient, search_id: str, driver: Driver, settings: ServiceSettings, bundle: bytes
) -> None:
    path = f"/v1/searches/{search_id}/best/predict"
    document = problem(client.post(path, json={"rows": [ROW]}), 409)
    assert "is running" in document["detail"]
    driver.run(0, 0.9)
    driver.publish(0, bundle, settings.home)
    driver.finish()

    rows = [ROW, {**ROW, "city": "Atlantis", "income": None, "more": True}]
    answer = client.post(path, json={"rows": rows})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    first, second = found.pop("predictions")
    classes = ("maybe", "no", "yes")
    assert set(first) == {"label", *(f"probability_{name}" for name in classes)}
    for row in (first, second):
        assert sum(row[f"probability_{name}"] for name in classes) == pytest.approx(1)
        assert row["label"] == max(classes, key=lambda name: row[f"probability_{name}"])
    assert found == {
        "trial": 0,
        "unknown": {"city": 1},
        "unreadable": {},
        "empty": {"income": 1},
        "unsigned": {},
        "filled": [],
        "ignored": ["more"],
        "turned": False,
        "no_forecast": {},
    }
    lacking = [ROW, {key: value for key, value in ROW.items() if key != "city"} | {"City": "Rome"}]
    refused = client.post(path, json={"rows": lacking})
    assert pointers(refused) == {"/rows/1/city"}
    assert "row 1 has no column 'city': it has 'City'" in refused.json()["detail"]


def test_the_model_is_had_in_a_form_that_its_bundle_lacks(
    client: TestClient,
    search_id: str,
    driver: Driver,
    settings: ServiceSettings,
    bundle: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made of the published bundle alone, it gives what `model.py` of it gives for raw samples."""
    driver.run(0, 0.9)
    path = f"/v1/searches/{search_id}/trials/0/model"
    assert "is running" in problem(client.get(f"{path}/pt2"), 409)["detail"]
    driver.publish(0, bundle, settings.home)
    driver.finish()
    problem(client.get(f"{path}/tflite"), 422)
    with Client(str(client.base_url)) as person:
        monkeypatch.setattr(person._connection, "_http", client)
        search = person.searches.get(search_id)
        file = search.download_as("pt2", tmp_path)
        assert file == tmp_path / "model.pt2"
        with pytest.raises(FileExistsError):
            search.download_as("pt2", tmp_path)
    folder = tmp_path / "bundle"
    ZipFile(BytesIO(bundle)).extractall(folder)
    preprocessing = json.loads((folder / "preprocessing.json").read_text())
    monkeypatch.syspath_prepend(str(folder))
    model = importlib.import_module("model")
    network = model.build().eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    raw = torch.rand(5, *preprocessing["input"]["shape"], dtype=torch.float64)
    found = torch.export.load(file).module()(raw)
    expected = network(model.preprocess(raw, preprocessing))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    monkeypatch.delitem(sys.modules, "model")


def test_the_client_asks_the_best_model(
    client: TestClient,
    search_id: str,
    driver: Driver,
    settings: ServiceSettings,
    bundle: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver.run(0, 0.9)
    driver.publish(0, bundle, settings.home)
    driver.finish()
    with Client(str(client.base_url)) as person:
        monkeypatch.setattr(person._connection, "_http", client)
        by_id = person.predict(search_id, [ROW, {**ROW, "city": "Atlantis"}])
        assert by_id == person.predict(person.searches.get(search_id), [ROW, ROW | {"city": "A"}])
        assert len(by_id["predictions"]) == 2 and by_id["unknown"] == {"city": 1}
        frame = pd.DataFrame([ROW, {**ROW, "age": None}])  # whose cells are NumPy's, and a NaN
        assert person.predict(search_id, frame)["empty"] == {"age": 1}
        filled = person.predict(search_id, [{"age": 40}], missing="fill")
        assert filled["filled"] == ["income", "city", "score"]
        with pytest.raises(InvalidRequestError) as caught:
            person.predict(search_id, [ROW, {"age": 40}])
    assert [error.pointer for error in caught.value.errors] == ["/rows/1/income"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"rows": []}, "/rows"),
        ({"rows": [ROW] * 1001}, "/rows"),
        ({}, "/rows"),
        ({"rows": [{}, 7]}, "/rows/1"),
        ({"rows": [ROW, {**ROW, "age": [1]}]}, "/rows/1/age"),
        ({"rows": [ROW], "missing": "ignore"}, "/missing"),
        ({"rows": [ROW], "row": 1}, "/row"),
        ([ROW], ""),
    ],
)
def test_what_is_no_row_is_refused(
    client: TestClient,
    search_id: str,
    driver: Driver,
    settings: ServiceSettings,
    body: dict[str, object],
    expected: str,
) -> None:
    driver.run(0, 0.9)
    driver.publish(0, b"never opened", settings.home)
    driver.finish()
    assert pointers(client.post(f"/v1/searches/{search_id}/best/predict", json=body)) == {expected}


@pytest.mark.parametrize(
    ("waits", "most", "method", "path"),
    [
        (("models", "ask", "asking"), 2, "POST", "best/predict"),
        (("conversions", "open", "converting"), 1, "GET", "trials/0/model/pt2"),
    ],
)
def test_what_waits_for_a_model_holds_up_no_list_and_not_for_ever(
    app: FastAPI,
    search_id: str,
    driver: Driver,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
    waits: tuple[str, str, str],
    most: int,
    method: str,
    path: str,
) -> None:
    driver.run(0, 0.9)
    driver.publish(0, b"of nobody", settings.home)
    driver.finish()
    hold, running = threading.Event(), [0]
    counted: dict[str, Any] = {"unknown": {}, "unreadable": {}, "empty": {}, "unsigned": {}}
    rest = {"filled": [], "ignored": [], "turned": False, "no_forecast": {}}
    answer = {"predictions": [], **counted, **rest}
    made = tmp_file(settings.home)

    def work(*_: Any) -> Any:
        running[0] += 1
        hold.wait()
        return answer if method == "POST" else made.open("rb")

    whose, what, turns = waits
    monkeypatch.setattr(getattr(app.state, whose), what, work)
    queue, arrived, take = getattr(app.state.dear, turns), [0], Turns.take

    async def arrive(self: Turns, *given: Any) -> Any:
        arrived[0] += self is queue
        return await take(self, *given)

    monkeypatch.setattr(Turns, "take", arrive)
    body = {"json": {"rows": [ROW]}} if method == "POST" else {}

    async def main() -> tuple[list[int], int]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:

            def ask() -> asyncio.Task[httpx2.Response]:
                url = f"/v1/searches/{search_id}/{path}"
                return asyncio.create_task(client.request(method, url, **body))

            asked = [ask() for _ in range(MANY)]
            while running[0] < most or arrived[0] < MANY:
                await asyncio.sleep(0.01)
            try:
                listed = await asyncio.wait_for(client.get("/v1/searches"), 60)
                assert running == [most] and not any(task.done() for task in asked)
                with monkeypatch.context() as patch:
                    patch.setattr(app.state.dear, turns, full := Turns(1, 0.01))
                    first = ask()
                    while running[0] == most:
                        await asyncio.sleep(0.01)
                    late = await ask()
                assert full and late.status_code == 503 and int(late.headers["Retry-After"]) > 0
                assert "1 at a time" in late.json()["detail"]
            finally:
                hold.set()
            ended = await asyncio.gather(first, *asked)
        return [answer.status_code for answer in ended], listed.status_code

    statuses, listed = asyncio.run(main())
    assert (set(statuses), listed) == ({200}, 200)


def tmp_file(folder: Path) -> Path:
    file = folder / "made.bin"
    file.write_bytes(b"made")
    return file
