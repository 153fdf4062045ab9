"""Clients that ask again and again: `GET /v1/searches/{id}` with If-None-Match, once a second each.

    python benchmarks/polling.py [--pollers 200 500] [--seconds 20]

One API process on SQLite, 50 searches, and a separate process of asyncio clients, each with a
connection of its own and Nagle's algorithm off. A client sends on a fixed schedule, spread evenly
over the second, and a latency counts from the moment at which the request was due: a slow answer
also counts for those that had to wait behind it. The first seconds, when all clients connect, are
left out. Half of the asked searches change meanwhile: one PATCH a second. `server_cpu_share` is the
processor time of the server by the wall time: 1 is one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import psutil

from models.processes.folders import temporary_folder
from nasmith import Client, Search
from service.server.local_server import LocalServer, running_server

REQUEST: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
}
SEARCHES = 50
WARM_UP_SECONDS = 3


@dataclass
class Tally:
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: int = 0


class Poller:
    """One HTTP/1.1 connection; asyncio sets TCP_NODELAY on it."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._etag = ""

    async def poll(self, start: float, until: float, tally: Tally) -> None:
        """Ask at `start`, a second later, and so on; count what was due after the warm-up."""
        count_from = start + WARM_UP_SECONDS
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        due = start
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                status = await self._ask(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                tally.errors += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            else:
                if due >= count_from:
                    tally.milliseconds.append((time.perf_counter() - due) * 1000)
                    tally.statuses[status] += 1
                    tally.errors += status not in (200, 304)
            due += 1.0
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        condition = f"If-None-Match: {self._etag}\r\n" if self._etag else ""
        writer.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n{condition}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        self._etag = headers.get("etag", "").replace("w/", "W/")
        return int(head[0].split()[1])


async def poll_all(port: int, searches: list[Search], pollers: int, seconds: float) -> Tally:
    tally = Tally()
    start = time.perf_counter() + 0.5
    until = start + WARM_UP_SECONDS + seconds
    await asyncio.gather(
        *(
            Poller(port, f"/v1/searches/{searches[index % SEARCHES].id}").poll(
                start + index / pollers, until, tally
            )
            for index in range(pollers)
        )
    )
    return tally


@contextmanager
def changes(searches: list[Search]) -> Iterator[None]:
    """One change a second, to the first half of the searches in turn."""
    is_over = Event()

    def change() -> None:
        number = 0
        while not is_over.wait(1.0):
            searches[number % (SEARCHES // 2)].update(name=f"renamed at {time.time()}")
            number += 1

    thread = Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def measure(
    server: LocalServer, searches: list[Search], pollers: int, seconds: float
) -> dict[str, Any]:
    process = psutil.Process(server.pid)
    before = sum(process.cpu_times()[:2])
    with changes(searches):
        tally = asyncio.run(poll_all(server.port, searches, pollers, seconds))
    cpu_seconds = sum(process.cpu_times()[:2]) - before
    return {
        "pollers": pollers,
        "server_cpu_share": round(cpu_seconds / (seconds + WARM_UP_SECONDS), 3),
        "requests": len(tally.milliseconds),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "errors": tally.errors,
        "p50_ms": round(percentile(tally.milliseconds, 0.50), 2),
        "p99_ms": round(percentile(tally.milliseconds, 0.99), 2),
        "max_ms": round(max(tally.milliseconds), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pollers", type=int, nargs="+", default=[200, 500])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with (
        temporary_folder("bench") as home,
        running_server(
            home,
            with_dispatcher=False,
            environment={"NASMITH_LOG_LEVEL": "warning"},
        ) as server,
        Client(server.url) as client,
    ):
        searches = [client.searches.create(REQUEST, seed=seed) for seed in range(SEARCHES)]
        runs = [measure(server, searches, pollers, options.seconds) for pollers in options.pollers]
    result = {
        "benchmark": "polling",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "seconds": options.seconds,
        "searches": SEARCHES,
        "runs": runs,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
