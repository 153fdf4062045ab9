"""A backup that is made while everybody writes, and the service that comes of it."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from search.trial import TrialState
from service.api.app import create_app
from service.backup.archive import BackupError
from service.backup.making import make_backup
from service.backup.restoring import restore_backup
from service.settings import ServiceSettings
from service.sql.database import Sessions, connect, migrate
from service.sql.queue import Queue
from service.sql.tables import Event, Search, Tenant, Trial
from service.store.holds import held, is_held
from service.store.leftovers import Leftovers
from service.store.store import Store
from tests.service.api.test_datasets_api import add_row
from tests.service.conftest import _clean
from tests.service.support.requests import Driver, problem, submit
from tests.service.support.rows import add_search, add_tenant, read_search
from tests.support.command_line import Nasmith

DATA = b"what a dataset is read from"


@pytest.fixture
def target(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> ServiceSettings:
    """An empty home on the other kind of database than that of the test."""
    home = tmp_path / "restored"
    if backend == "postgresql":
        return ServiceSettings(home=home)
    url = str(request.getfixturevalue("shared_database"))
    _clean(url)
    return ServiceSettings(home=home, database_url=url)


@pytest.fixture
def restored(target: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(target.database_url)
    yield sessions
    sessions.engine.dispose()


class Writer(threading.Thread):
    """Runs trials of a search of its own until it is told to stop; `told`: those that counted."""

    def __init__(self, app: FastAPI, client: TestClient) -> None:
        super().__init__()
        self.search_id = submit(client)
        self._driver = Driver(app.state.sessions, self.search_id)
        self.told: list[int] = []
        self.is_warm, self.is_over = threading.Event(), threading.Event()

    def run(self) -> None:
        number = 0
        while not self.is_over.is_set():
            self._driver.run(number, 0.5)
            self.told.append(number)
            number += 1
            if number == 3:
                self.is_warm.set()


def test_what_was_told_before_is_in_a_backup_made_under_load(
    app: FastAPI,
    client: TestClient,
    settings: ServiceSettings,
    target: ServiceSettings,
    restored: Sessions,
    tmp_path: Path,
) -> None:
    writers = [Writer(app, client) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        assert writer.is_warm.wait(60)
    told = {writer.search_id: list(writer.told) for writer in writers}
    report = make_backup(settings, tmp_path / "backup")
    for writer in writers:
        writer.is_over.set()
    for writer in writers:
        writer.join()
    assert report.searches == 3
    restore_backup(target, tmp_path / "backup")
    for search_id, numbers in told.items():
        with restored.read() as session:
            search = session.get_one(Search, search_id)
            of_it = Trial.search_id == search_id, Trial.state == TrialState.COMPLETED
            ended = set(session.scalars(select(Trial.number).where(*of_it)))
            events = select(Event.sequence).where(Event.search_id == search_id)
            sequences = sorted(session.scalars(events))
        assert set(numbers) <= ended
        assert search.trials_done == len(ended), "rows of one moment"
        assert sequences == list(range(1, search.event_sequence + 1))
        assert (search.state, search.lease_owner) == ("running", None)
    assert Queue(restored).claim("the next") is not None, "they go on at once"


def test_a_restored_service_serves_every_search_and_bundle(
    app: FastAPI,
    client: TestClient,
    settings: ServiceSettings,
    target: ServiceSettings,
    tmp_path: Path,
) -> None:
    path = add_row(app, "mine") and f"datasets/mine/{'b' * 64}.safetensors"
    Store(settings.store_url).write(path, DATA)
    ended = submit(client)
    driver = Driver(app.state.sessions, ended)
    driver.run(0, 0.25)
    driver.retrain(1, 0, 0.5, seed=1)
    driver.publish(1, b"a bundle", settings.home)
    driver.finish()
    waiting = submit(client, name="with Ünicode \U0001f600", seed=2**31 - 1)
    running = submit(client)
    client.post(f"/v1/searches/{waiting}/pause")
    Driver(app.state.sessions, running).run(0, 0.125)
    Store(settings.store_url).write(f"checkpoints/{running}/0.safetensors", b"weights")
    theirs = add_search(app.state.sessions, add_tenant(app.state.sessions, "other"))
    paths = [f"/v1/searches/{one}{rest}" for one in (ended, waiting) for rest in ("", "/trials")]
    paths += ["/v1/datasets/mine", f"/v1/searches/{running}/trials", "/v1/quota"]
    before = {path: client.get(path).json() for path in paths}

    report = make_backup(settings, tmp_path / "backup")
    assert (report.searches, report.files, report.missing) == (4, 3, [])
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    assert restore_backup(target, tmp_path / "backup").missing == []

    again = create_app(target)
    with TestClient(again, "http://localhost") as copy:
        assert {path: copy.get(path).json() for path in paths} == before
        assert copy.get(f"/v1/searches/{ended}/best/bundle").content == b"a bundle"
        problem(copy.get(f"/v1/searches/{theirs}"), 404)
    assert (target.home / path).read_bytes() == DATA
    assert (target.home / f"checkpoints/{running}/0.safetensors").read_bytes() == b"weights"
    assert stat.S_IMODE(target.home.stat().st_mode) == 0o700
    assert read_search(again.state.sessions, theirs).tenant_id == "other"
    assert not list(target.home.glob(".restore-*")) and not list(tmp_path.glob(".*"))
    again.state.sessions.engine.dispose()


@pytest.fixture
def backup(app: FastAPI, client: TestClient, settings: ServiceSettings, tmp_path: Path) -> Path:
    """Of a service with one search that has a bundle."""
    driver = Driver(app.state.sessions, submit(client))
    driver.run(0, 0.25)
    driver.publish(0, b"a bundle", settings.home)
    make_backup(settings, tmp_path / "backup")
    return tmp_path / "backup"


sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])


def changed(file: Path, **members: bytes | None) -> None:
    """The backup with other content of some members, by the beginning of their names."""
    with tarfile.open(file) as old:
        found = {entry.name: old.extractfile(entry) for entry in old}
        content = {name: opened.read() for name, opened in found.items() if opened is not None}
    for start, data in members.items():
        (name,) = [name for name in content if name.startswith(start)]
        if data is None:
            del content[name]
        else:
            content[name] = data
    with tarfile.open(file, "w") as new:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))


@sqlite_alone
@pytest.mark.parametrize("damage", ["cut", "end", "bundle", "outside", "later", "noise"])
def test_of_a_backup_that_is_not_whole_nothing_is_restored(
    backup: Path, tmp_path: Path, damage: str
) -> None:
    if damage == "cut":
        backup.write_bytes(backup.read_bytes()[:-20_000])
    elif damage == "end":
        changed(backup, contents=None)
    elif damage == "bundle":
        changed(backup, store=b"a bundlf")
    elif damage == "later":
        later = {"format": 2, "nasmith": "9.9", "created_at": "", "files": {}, "missing": []}
        changed(backup, contents=json.dumps(later).encode())
    elif damage == "noise":
        backup.write_bytes(b"nothing of the kind" * 100)
    else:
        with tarfile.open(backup, "a") as tar:
            tar.addfile(tarfile.TarInfo("store/../../outside"))
    empty = ServiceSettings(home=tmp_path / "home2")
    with pytest.raises(BackupError):
        restore_backup(empty, backup)
    assert not empty.home.exists()


@sqlite_alone
def test_what_is_there_is_never_overwritten(backup: Path, settings: ServiceSettings) -> None:
    with pytest.raises(BackupError, match="not empty: 1 searches"):
        restore_backup(settings, backup)
    with pytest.raises(BackupError, match="is there already"):
        make_backup(settings, backup)


@sqlite_alone
def test_what_was_deleted_or_lost_while_a_backup_was_made(
    app: FastAPI,
    client: TestClient,
    settings: ServiceSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is not in it, of the second it says so."""
    deleted, lost = (Driver(app.state.sessions, submit(client)) for _ in range(2))
    for driver in (deleted, lost):
        driver.run(0, 0.25)
        path = driver.publish(0, b"a bundle", settings.home)
        driver.finish()
    (settings.home / path).unlink()

    from service.backup import making

    take = making.take_snapshot

    def taken_then_deleted(*given: Any) -> None:
        take(*given)
        assert client.delete(f"/v1/searches/{deleted.claim.search_id}").status_code == 204

    monkeypatch.setattr(making, "take_snapshot", taken_then_deleted)
    report = make_backup(settings, tmp_path / "backup")
    assert (report.searches, report.missing) == (1, [path])
    target = ServiceSettings(home=tmp_path / "restored")
    assert restore_backup(target, tmp_path / "backup").missing == [path]
    again = create_app(target)
    with TestClient(again, "http://localhost") as copy:
        gone = copy.get(f"/v1/searches/{lost.claim.search_id}/trials/0/bundle")
        problem(gone, 410)


@sqlite_alone
def test_nobody_sweeps_while_a_backup_is_made(app: FastAPI, settings: ServiceSettings) -> None:
    """A search that ends after the snapshot leaves its weights until they have been copied."""
    store, sessions = Store(settings.store_url), app.state.sessions
    search_id = add_search(sessions, state="succeeded")
    store.write(f"checkpoints/{search_id}/0.safetensors", b"weights")
    leftovers = Leftovers(sessions, settings.store_url)
    with held(store):
        assert not leftovers.remove(search_id)
        assert not leftovers.remove_all()
        assert store.files_under("checkpoints")
    assert leftovers.remove_all()
    assert store.files_under("checkpoints") == store.files_under("holds") == []


@sqlite_alone
def test_a_hold_ends_with_its_holder(settings: ServiceSettings) -> None:
    store = Store(settings.store_url)
    for hold in (
        {"holder": "elsewhere/1/0.00", "until": 1.0},
        {"holder": f"{process_of_this_machine()}/999999999/0.00", "until": 1e12},
    ):
        store.write("holds/a.json", json.dumps(hold).encode())
        assert not is_held(store)
    store.write("holds/a.json", json.dumps({"holder": "elsewhere/1/0.00", "until": 1e12}).encode())
    assert is_held(store)


def process_of_this_machine() -> str:
    from models.processes.names import process_name

    return process_name().rsplit("/", 2)[0]


def test_a_backup_of_an_older_schema_is_brought_up(
    tmp_path: Path, target: ServiceSettings, restored: Sessions
) -> None:
    """SQLite's file is copied as it is, so that one can be made before an update."""
    old = ServiceSettings(home=tmp_path / "old")
    migrate(old.database_url)
    sessions = connect(old.database_url)
    search_id = add_search(sessions, name="of before")
    sessions.engine.dispose()
    migrate(old.database_url, "0010")
    make_backup(old, tmp_path / "backup")
    restore_backup(target, tmp_path / "backup")
    assert read_search(restored, search_id).name == "of before"
    with restored.read() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 1


@sqlite_alone
def test_the_commands(nasmith: Nasmith, backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()  # what the service has logged
    restored = nasmith("restore", str(backup), "--home", "again", "--json")
    assert (restored.code, restored.data["missing"]) == (0, [])
    made = nasmith("backup", "second", "--home", "again", "--json")
    assert (made.data["searches"], made.data["files"]) == (1, 1)
    occupied = nasmith("restore", "second", "--home", "again")
    assert occupied.code == 2 and "not empty" in occupied.err
    nowhere = nasmith("backup", "third", "--home", "nowhere")
    assert nowhere.code == 2 and "there is no database" in nowhere.err
    assert nasmith("restore", "fourth", "--home", "nowhere").code == 2
