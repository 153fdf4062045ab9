"""The client against a real server process on SQLite, and a proxy that loses answers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nasmith import (
    Client,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Search,
    SearchFailedError,
    UnreachableError,
)
from service.server.local_server import LocalServer, running_server
from tests.service.support.proxy import proxy_to

REQUEST: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
}
NOWHERE = "srch_01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("home"), with_dispatcher=False) as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def search(client: Client) -> Iterator[Search]:
    search = client.searches.create(REQUEST)
    yield search
    with suppress(NotFoundError, ConflictError):
        search.cancel()


def test_the_client_imports_nothing_heavy() -> None:
    code = "import sys; from nasmith import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"nasmith", "httpx2"} <= set(done.stdout.split())
    assert not {"torch", "ray", "fastapi", "sqlalchemy", "numpy"} & set(done.stdout.split())


def test_a_search_is_created_with_its_defaults_filled_in(client: Client) -> None:
    search = client.searches.create(REQUEST, name="mine", budget={"trials": 7})
    assert (search.name, search.state, search.has_ended) == ("mine", "queued", False)
    assert search.spec["objectives"] == [{"metric": "val_accuracy", "goal": "maximize"}]
    assert search.progress["trials_total"] == 7
    assert search.best() == []
    assert list(search.trials()) == []
    assert client.searches.get(search.id).document == search.refresh().document


def test_the_same_idempotency_key_makes_one_search(client: Client) -> None:
    first = client.searches.create(REQUEST, idempotency_key="key-1")
    assert client.searches.create(REQUEST, idempotency_key="key-1").id == first.id
    with pytest.raises(InvalidRequestError):
        client.searches.create(REQUEST, seed=1, idempotency_key="key-1")


def test_a_lost_answer_makes_no_second_search(server: LocalServer, client: Client) -> None:
    before = {search.id for search in client.searches.list()}
    with proxy_to(server.port) as proxy, Client(proxy.url) as shaky:
        proxy.lose_answers = 2
        created = shaky.searches.create(REQUEST)
        assert proxy.lost == 2
    after = {search.id for search in client.searches.list()}
    assert after - before == {created.id}


def test_everything_wrong_is_told_at_once(client: Client) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.searches.create(REQUEST, dataset="nothing", budget={"trials": 0}, colour="red")
    assert caught.value.status == 422
    assert {error.pointer for error in caught.value.errors} == {
        "/dataset",
        "/budget/trials",
        "/colour",
    }
    assert all(f"{error.pointer}: " in str(caught.value) for error in caught.value.errors)


def test_the_dry_run_stores_nothing(client: Client) -> None:
    before = [search.id for search in client.searches.list()]
    answer = client.validate(REQUEST)
    assert len(answer["examples"]) == 3
    assert all(example["parameters"] > 0 for example in answer["examples"])
    assert client.validate_space({"dataset": "digits", "space": REQUEST["space"]})["examples"]
    assert [search.id for search in client.searches.list()] == before


def test_lists_go_over_all_pages_newest_first(client: Client) -> None:
    made = [client.searches.create(REQUEST, name=str(number)).id for number in range(5)]
    listed = [search.id for search in client.searches.list(page_size=2)]
    assert [search_id for search_id in listed if search_id in made] == made[::-1]
    assert len(listed) == len(set(listed))
    assert all(search.state == "queued" for search in client.searches.list(state="queued"))


def test_what_is_not_there(client: Client, search: Search) -> None:
    for wrong in (NOWHERE, "nonsense", "../healthz", "..", "a/b?c#d", ""):
        with pytest.raises(NotFoundError):
            client.searches.get(wrong)
    with pytest.raises(NotFoundError):
        search.trial(0)


def test_no_bundle_before_the_end(search: Search, tmp_path: Path) -> None:
    with pytest.raises(ConflictError) as caught:
        search.download(tmp_path / "model")
    assert caught.value.problem["state"] == "queued"
    assert not (tmp_path / "model").exists()


def test_actions_change_the_state(search: Search) -> None:
    assert search.pause().state == "paused"
    assert search.resume().state == "queued"
    assert search.update(name="new", budget={"trials": 9}).name == "new"
    assert search.progress["trials_total"] == 9
    with pytest.raises(ConflictError):
        search.delete()
    assert search.cancel().state == "cancelled"
    with pytest.raises(ConflictError):
        search.resume()
    with pytest.raises(SearchFailedError, match="cancelled"):
        search.wait()
    search.delete()
    with pytest.raises(NotFoundError):
        search.refresh()


def test_waiting_has_a_limit(search: Search) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=search.id):
        search.wait(timeout=1)
    assert 1 <= time.monotonic() - started < 5


def test_waiting_hears_of_a_change_at_once(client: Client, search: Search) -> None:
    changes = search.changes()
    assert next(changes).state == "queued"
    threading.Timer(0.5, client.searches.get(search.id).pause).start()
    started = time.monotonic()
    assert next(changes).state == "paused"
    assert time.monotonic() - started < 5  # far below the 25 s of one long poll


def test_events_come_in_order_without_holes_through_cuts(
    server: LocalServer, client: Client
) -> None:
    search = client.searches.create(REQUEST)
    with proxy_to(server.port) as proxy, Client(proxy.url) as shaky:
        stream = shaky.searches.get(search.id).events()
        seen = [next(stream)]
        for action in (search.pause, search.resume, search.pause, search.cancel):
            proxy.cut()
            action()
            seen.append(next(stream))
        assert list(stream) == []
    assert [event.id for event in seen] == [str(number) for number in range(1, 6)]
    assert list(search.events(last_event_id="3")) == seen[3:]
    assert list(search.events()) == seen


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:9", patience=0.3) as client:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
            client.catalog()
        assert time.monotonic() - started < 2
    for url in ("ftp://127.0.0.1", "127.0.0.1:8000", "http://[", ""):
        with pytest.raises(UnreachableError):
            Client(url or "http://", patience=0).version()


@pytest.mark.slow
def test_waiting_outlives_a_crash_of_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, with_dispatcher=False) as server, Client(server.url) as client:
        search = client.searches.create(REQUEST)
        outages: list[str] = []
        changes = search.changes(patience=600, on_outage=outages.append)
        assert next(changes).state == "queued"

        seen = threading.Event()

        def crash_and_come_back() -> None:
            server.kill()
            time.sleep(0.5)
            server.start()
            client.searches.get(search.id).cancel()
            seen.wait()  # the server ends with the thread that started it

        thread = threading.Thread(target=crash_and_come_back)
        thread.start()
        try:
            assert [state.state for state in changes] in (["queued", "cancelled"], ["cancelled"])
        finally:
            seen.set()
            thread.join()
        assert outages
        assert "trying again" in outages[0]
