"""Many tenants: what a key costs a request, and a long queue of all of them.

    python benchmarks/tenants.py [--searches 10000] [--tenants 20] [--requests 50000]

On SQLite. `key` is what stands before every route, asked again and again with one key, the looks
into the database that fall into that time included. The queue is filled with rows as searches leave
them, one tenant after the other; `claim` takes from it as a dispatcher does, and each search ends
at once. `most_claims_by_mean`: of the luckiest tenant, by the mean of all. `list` is the first
page of one tenant over HTTP. `cpu` is processor time of the process that does it; the rest is wall
time and also tells what else the machine does. All in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2

from models.processes.folders import temporary_folder
from nasmith import Client
from service.api.callers import Callers
from service.identifiers import new_search_id
from service.server.local_server import running_server
from service.settings import ServiceSettings
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Search, Tenant

REQUEST: dict[str, Any] = {"dataset": "digits", "space": {"family": "cnn_cell"}}


def fill(sessions: Sessions, tenants: int, searches: int, like: Search) -> None:
    """The first tenant posts all of its searches first, then the next one."""
    copied = ("name", "spec", "dataset", "dataset_fingerprint", "versions", "trials_total")
    values = {name: getattr(like, name) for name in copied}
    now = datetime.now(UTC)
    with sessions.begin() as session:
        names = [DEFAULT_TENANT, *(f"tenant-{number}" for number in range(1, tenants))]
        session.add_all(Tenant(id=name, name=name, created_at=now) for name in names[1:])
        session.flush()
        for number in range(searches):
            tenant = names[number * tenants // searches]
            state = SearchState.QUEUED
            session.add(
                Search(id=new_search_id(), tenant_id=tenant, state=state, created_at=now, **values)
            )


def timed(action: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        found.append(1000 * (time.perf_counter() - started))
    return found


def shares(milliseconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(milliseconds, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


def key_cost(sessions: Sessions, key: str, requests: int) -> dict[str, float]:
    async def ask() -> float:
        callers = Callers(sessions, asks=True)
        await callers.of(f"Bearer {key}")
        before = time.process_time()
        for _ in range(requests):
            await callers.of(f"Bearer {key}")
        used = time.process_time() - before
        await callers.close()
        return used

    return {"cpu": 1000 * asyncio.run(ask()) / requests}


def claimed(sessions: Sessions, tenants: int) -> dict[str, Any]:
    queue, served, found = Queue(sessions), Counter[str](), []
    rounds, cpu = 20 * tenants, 0.0
    for _ in range(rounds):
        started, before = time.perf_counter(), time.process_time()
        claim = queue.claim("benchmark")
        found.append(1000 * (time.perf_counter() - started))
        cpu += 1000 * (time.process_time() - before)
        if claim is None:
            raise RuntimeError(f"the queue is empty after {len(found) - 1} claims")
        with sessions.read() as session:
            served[session.get_one(Search, claim.search_id).tenant_id] += 1
        queue.finish(claim, SearchState.SUCCEEDED)
    claims = {**shares(found), "cpu": cpu / rounds}
    return {"claim": claims, "most_claims_by_mean": max(served.values()) * tenants / rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--requests", type=int, default=50_000)
    chosen = parser.parse_args()
    environment = {"NASMITH_AUTH": "keys"}
    with (
        temporary_folder("bench") as home,
        running_server(home, with_dispatcher=False, environment=environment) as server,
    ):
        with Client(server.url, api_key=server.api_key) as client:
            search_id = client.searches.create(REQUEST).id
        sessions = connect(ServiceSettings(home=home).database_url)
        with sessions.read() as session:
            like = session.get_one(Search, search_id)
        fill(sessions, chosen.tenants, chosen.searches, like)
        found: dict[str, Any] = {"key": key_cost(sessions, str(server.api_key), chosen.requests)}
        headers = {"Authorization": f"Bearer {server.api_key}"}
        with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as http:
            found["list"] = shares(timed(lambda: http.get("/v1/searches"), 300))
        found |= claimed(sessions, chosen.tenants)
        sessions.engine.dispose()
    print(json.dumps({"python": platform.python_version(), **found}, indent=2))


if __name__ == "__main__":
    main()
