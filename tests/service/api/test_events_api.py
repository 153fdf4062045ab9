from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.events.watcher import Watcher
from service.sql.database import Sessions, connect
from service.sql.events import append_event
from service.sql.states import SearchState
from service.sql.tables import Search
from service.sql.transitions import change_state
from tests.service.support.requests import Driver, problem, submit
from tests.service.support.rows import add_search


@dataclass
class Sent:
    id: int
    type: str
    data: dict[str, object]


def parse(lines: Iterator[str]) -> Iterator[Sent]:
    """The events of a stream, as the HTML standard reads it."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Sent(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def stream(client: TestClient, search_id: str, last: int | None = None) -> list[Sent]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with client.stream("GET", f"/v1/searches/{search_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        return list(parse(response.iter_lines()))


def test_an_ended_search_tells_its_whole_story(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    driver.run(0, 0.5)
    driver.finish()
    events = stream(client, search_id)
    assert [event.type for event in events] == [
        "search.queued",
        "search.running",
        "trial.started",
        "trial.epoch",
        "trial.epoch",
        "trial.ended",
        "best.changed",
        "search.succeeded",
    ]
    assert [event.id for event in events] == list(range(1, 9))
    assert all("created_at" in event.data for event in events)
    assert events[6].data["trial"] == 0
    for last in range(8):
        assert [event.id for event in stream(client, search_id, last)] == list(range(last + 1, 9))


def test_a_client_that_has_everything_is_told_not_to_come_back(client: TestClient) -> None:
    search_id = submit(client)
    client.post(f"/v1/searches/{search_id}/cancel")
    path = f"/v1/searches/{search_id}/events"
    for last in ("2", "3", "99999"):
        response = client.get(path, headers={"Last-Event-ID": last})
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "1 2"])
def test_a_wrong_event_id_is_refused(client: TestClient, last: str) -> None:
    path = f"/v1/searches/{submit(client)}/events"
    document = problem(client.get(path, headers={"Last-Event-ID": last}), 422)
    assert document["errors"][0]["pointer"] == "/Last-Event-ID"


def test_events_come_while_they_happen(app: FastAPI, client: TestClient) -> None:
    """Followed from the first to the last while a driver works."""
    search_id = submit(client)

    def drive() -> None:
        driver = Driver(app.state.sessions, search_id)
        for number in range(5):
            driver.run(number, 0.1 * number)
            time.sleep(0.05)
        driver.finish()

    thread = threading.Thread(target=drive)
    thread.start()
    events = stream(client, search_id)
    thread.join()
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "search.succeeded"
    assert sum(event.type == "trial.ended" for event in events) == 5


# the watcher, without HTTP: cuts and crowds


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url, connections=5)
    yield sessions
    sessions.engine.dispose()


def write(sessions: Sessions, search_id: str, events: int, pause: float) -> None:
    for number in range(events):
        with sessions.begin() as session:
            search = session.get_one(Search, search_id)
            append_event(session, search, "search.updated", {"number": number})
        time.sleep(pause)
    with sessions.begin() as session:
        search = session.get_one(Search, search_id, with_for_update=True)
        change_state(session, search.id, SearchState.CANCELLED)


async def run_with_watcher(
    sessions: Sessions, search_id: str, followers: int, cut: bool
) -> list[list[int]]:
    watcher = Watcher(sessions, interval=0.02)
    watching = asyncio.create_task(watcher.run())
    rng = random.Random(7)

    async def follow() -> list[int]:
        seen: list[int] = []
        while True:
            patience = rng.uniform(0.0, 0.05) if cut else 60.0
            try:
                async with asyncio.timeout(patience):
                    async for event in watcher.follow(search_id, seen[-1] if seen else 0):
                        seen.append(event.sequence)
                    return seen
            except TimeoutError:
                continue

    writing = asyncio.to_thread(write, sessions, search_id, 150, 0.002)
    *seen, _ = await asyncio.gather(*(follow() for _ in range(followers)), writing)
    watching.cancel()
    assert watcher._watches == {}
    return seen


def test_a_stream_that_is_cut_again_and_again_has_no_holes(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    seen = asyncio.run(run_with_watcher(sessions, search_id, followers=5, cut=True))
    assert all(one == list(range(1, 152)) for one in seen)


def test_many_follow_one_search(sessions: Sessions) -> None:
    """More than there are threads or connections, at the cost of one."""
    search_id = add_search(sessions)
    seen = asyncio.run(run_with_watcher(sessions, search_id, followers=200, cut=False))
    assert all(one == list(range(1, 152)) for one in seen)


def test_followers_of_a_closing_server_go_home(sessions: Sessions) -> None:
    search_id = add_search(sessions)

    async def run() -> None:
        watcher = Watcher(sessions, interval=0.02)
        watching = asyncio.create_task(watcher.run())

        async def follow() -> int:
            return len([event async for event in watcher.follow(search_id, 0)])

        tasks = [asyncio.create_task(follow()) for _ in range(3)]
        tasks.append(asyncio.create_task(watcher.change(search_id, 1, 60)))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in tasks)
        watcher.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 2)
        watching.cancel()

    asyncio.run(run())


def test_followers_outlast_an_outage(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails for a while; nobody notices but by the delay."""
    from sqlalchemy.exc import OperationalError

    from service.api.events import watcher as module

    monkeypatch.setattr(module, "_OUTAGE_SECONDS", 0.05)
    search_id = add_search(sessions)
    looks = 0
    real = module.statuses

    def failing(session: object, search_ids: list[str]) -> object:
        nonlocal looks
        looks += 1
        if 3 < looks < 10:
            raise OperationalError("SELECT", {}, Exception("away"))
        return real(session, search_ids)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "statuses", failing)
    seen = asyncio.run(run_with_watcher(sessions, search_id, followers=2, cut=False))
    assert all(one == list(range(1, 152)) for one in seen)
    assert looks > 10
