"""What has been kept long enough goes, what nothing refers to is found, everything else stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from service.commands import findings
from service.settings import ServiceSettings
from service.sql.tables import Search
from service.store.holds import held
from service.store.orphans import find_orphans
from service.store.store import Store
from tests.service.support.requests import Driver, problem, submit
from tests.support.command_line import Nasmith, Outcome

LONG_AGO = "01890a5d-ac96-774b-bcce-b302099a8057"  # a UUIDv7 of June 2023


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ended(app: FastAPI, client: TestClient, settings: ServiceSettings) -> Iterator[dict[str, str]]:
    """Searches with a bundle that ended 100 and 10 days ago; by age."""
    found = {}
    for age in (100, 10):
        driver = Driver(app.state.sessions, submit(client))
        driver.run(0, 0.25)
        driver.publish(0, b"a bundle", settings.home)
        driver.finish()
        found[str(age)] = driver.claim.search_id
        with app.state.sessions.begin() as session:
            at = datetime.now(UTC) - timedelta(days=age)
            session.execute(
                update(Search).where(Search.id == driver.claim.search_id).values(ended_at=at)
            )
    yield found


@pytest.fixture
def prune(nasmith: Nasmith, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> Nasmith:
    monkeypatch.setenv("NASMITH_DATABASE_URL", settings.database_url)

    def run(*arguments: str) -> Outcome:
        return nasmith("prune", "--home", str(settings.home), *arguments)

    return run


def test_old_bundles_go_and_say_so(
    prune: Nasmith,
    client: TestClient,
    ended: dict[str, str],
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    old, young = ended["100"], ended["10"]
    assert prune("--json").data["bundles"] == []
    assert "NASMITH_RETENTION_DAYS" in prune().err
    monkeypatch.setenv("NASMITH_RETENTION_DAYS", "30")
    listed = prune("--json").data
    assert [bundle["search"] for bundle in listed["bundles"]] == [old]
    assert (listed["removed"], listed["bundle_bytes"]) == (False, len(b"a bundle"))
    assert client.get(f"/v1/searches/{old}/trials/0/bundle").content == b"a bundle"
    with held(Store(settings.store_url)):
        assert prune("--yes").code == 5
    assert client.get("/v1/quota").json()["stored_bytes"]["used"] == 2 * len(b"a bundle")
    capsys.readouterr()
    assert prune("--yes", "--json").data["removed"]
    assert (
        "this server keeps bundles"
        in problem(client.get(f"/v1/searches/{old}/trials/0/bundle"), 410)["detail"]
    )
    assert client.get(f"/v1/searches/{young}/trials/0/bundle").content == b"a bundle"
    trial = client.get(f"/v1/searches/{old}/trials/0").json()
    assert trial["metrics"]["val_accuracy"] == 0.25
    assert client.get("/v1/quota").json()["stored_bytes"]["used"] == len(b"a bundle")
    capsys.readouterr()
    assert prune("--yes", "--json").data["bundles"] == []
    assert findings.leftovers(settings).status == "ok"


def test_what_nothing_refers_to_is_found_and_goes(
    prune: Nasmith,
    app: FastAPI,
    client: TestClient,
    ended: dict[str, str],
    settings: ServiceSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sessions, store = app.state.sessions, Store(settings.store_url)
    assert findings.leftovers(settings).status == "ok"
    running = submit(client)
    Driver(sessions, running)
    orphans = [
        f"artifacts/srch_{LONG_AGO}/0-1.zip",
        f"checkpoints/srch_{LONG_AGO}/0.safetensors",
        f"datasets/data_{LONG_AGO}/a.safetensors",
    ]
    needed = [f"checkpoints/{running}/0.safetensors", f"artifacts/{running}/1-1.zip"]
    for path in [*orphans, *needed]:
        store.write(path, b"x")
    lost = f"artifacts/{ended['10']}/0/bundle.zip"
    store.remove([lost])
    found = find_orphans(sessions, store)
    assert (sorted(found.files), found.missing, found.rows) == (orphans, [lost], {})
    told = findings.leftovers(settings)
    assert told.status == "warn" and "3 files that nothing refers to" in told.message
    assert lost in told.message and "prune --yes" in told.advice
    capsys.readouterr()
    assert sorted(prune("--yes", "--json").data["orphans"]) == orphans
    assert find_orphans(sessions, store).files == []
    assert all(store.has(path) for path in needed)


def test_rows_of_nothing_are_found(app: FastAPI, settings: ServiceSettings) -> None:
    """Written by a program that does not ask SQLite for its foreign keys, as most do not."""
    file = settings.database_file
    assert file is not None
    with sqlite3.connect(file) as database:
        database.execute(
            "INSERT INTO epochs (search_id, number, epoch, tenant_id, metrics) "
            "VALUES ('srch_gone', 0, 1, 'default', '{}')"
        )
    database.close()
    assert "1 rows of epochs" in findings.leftovers(settings).message
