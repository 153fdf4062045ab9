"""What one client can do to the others: bodies made to be dear, and many uploads at once.

    python benchmarks/hostile.py [--uploads 64] [--seconds 20]

One API process on SQLite, without a dispatcher. Beside each load, from a process of its own, three
clients ask ten times a second each: for the list of searches, for `/healthz`, and to cancel a
search that was just posted. A latency counts from when the request was due. First nobody else asks,
then come the four bodies of a mebibyte (four clients, one after the other without a pause), then
`--uploads` small tables at once, whose clients try again as `Retry-After` says. `p99_ratio` is to
the same without load. `cpu_ms` is the processor time of the server by body, the three clients'
share of the quiet time taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import psutil

from models.processes.folders import temporary_folder
from service.server.local_server import LocalServer, running_server

A_SECOND = 10
REQUEST = {"dataset": "digits", "space": {"family": "cnn_cell"}, "strategy": {"name": "random"}}
JSON = {"Content-Type": "application/json"}
BODIES = {
    "equal_keys": b"{" + b'"a":1,' * 170_000 + b'"a":1}',
    "constants": b'{"x":[' + b"NaN," * 250_000 + b"NaN]}",
    "unknown_keys": b"{" + b",".join(b'"k%d":1' % n for n in range(75_000)) + b"}",
    "empty_objectives": b'{"dataset":"digits","objectives":[' + b"{}," * 300_000 + b"{}]}",
    "deep": b"[" * 500_000 + b"]" * 500_000,
    "transformer": json.dumps(
        {
            "dataset": "digits",
            "space": {"family": "transformer", "layers": 64, "width": {"low": 2, "high": 4096}},
        }
    ).encode(),
}
TABLE = "a,b,label\n" + "".join(
    f"{n % 7},{n % 11},{'up' if n % 3 else 'down'}\n" for n in range(90)
)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


class Probes:
    """Three clients, each on a schedule of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.milliseconds: dict[str, list[float]] = {}
        self.errors: Counter[str] = Counter()

    @contextmanager
    def asking(self) -> Iterator[None]:
        is_over = threading.Event()
        asks: dict[str, Callable[[httpx2.Client], httpx2.Response]] = {
            "list": lambda client: client.get("/v1/searches"),
            "healthz": lambda client: client.get("/healthz"),
            "cancel": _cancelled,
        }
        threads = [
            threading.Thread(target=self._ask, args=(name, ask, is_over))
            for name, ask in asks.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def _ask(
        self,
        name: str,
        ask: Callable[[httpx2.Client], httpx2.Response],
        is_over: threading.Event,
    ) -> None:
        found = self.milliseconds.setdefault(name, [])
        with httpx2.Client(base_url=self._url, timeout=120) as client:
            due = time.perf_counter()
            while not is_over.is_set():
                response = ask(client)
                self.errors[name] += response.status_code >= 400
                took = float(response.headers.get("X-Took", "nan"))
                found.append(took if took == took else (time.perf_counter() - due) * 1000)
                due = max(due + 1 / A_SECOND, time.perf_counter() - 1)
                time.sleep(max(0.0, due - time.perf_counter()))

    def figures(self, quiet: dict[str, Any] | None = None) -> dict[str, Any]:
        found = {}
        for name, values in self.milliseconds.items():
            p50, p99 = (round(percentile(values, share), 1) for share in (0.5, 0.99))
            found[name] = {"asked": len(values), "errors": self.errors[name], "p50_ms": p50,
                           "p99_ms": p99, "max_ms": round(max(values), 1)}  # fmt: skip
            if quiet is not None:
                found[name]["p99_ratio"] = round(p99 / quiet[name]["p99_ms"], 2)
        return found


def _cancelled(client: httpx2.Client) -> httpx2.Response:
    """The cancel alone counts."""
    search = client.post("/v1/searches", json=REQUEST)
    if search.is_error:
        return search
    started = time.perf_counter()
    response = client.post(f"/v1/searches/{search.json()['id']}/cancel")
    response.headers["X-Took"] = str((time.perf_counter() - started) * 1000)
    return response


def send_bodies(url: str, seconds: float) -> dict[str, Any]:
    """Four clients, each with all bodies in turn."""
    end = time.perf_counter() + seconds
    answers: dict[str, list[tuple[int, int, float]]] = {name: [] for name in BODIES}

    def send() -> None:
        with httpx2.Client(base_url=url, timeout=120) as client:
            while time.perf_counter() < end:
                for name, body in BODIES.items():
                    started = time.perf_counter()
                    response = client.post("/v1/searches?dry_run=true", content=body, headers=JSON)
                    took = (time.perf_counter() - started) * 1000
                    answers[name].append((response.status_code, len(response.content), took))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        name: {
            "sent": len(found),
            "statuses": sorted({status for status, _, _ in found}),
            "largest_answer_bytes": max(size for _, size, _ in found),
            "p99_ms": round(percentile([took for _, _, took in found], 0.99), 1),
        }
        for name, found in answers.items()
    }


def send_uploads(url: str, count: int) -> dict[str, Any]:
    """All at once; one that is refused is sent again when it may be."""

    async def one(client: httpx2.AsyncClient, number: int, refused: Counter[int]) -> str:
        spread = 0.5 + number / count  # they do not all come at once
        fields = {"name": f"table-{number}", "task": "tabular_classification",
                  "options": '{"target": "label"}'}  # fmt: skip
        while True:
            file = {"file": ("table.csv", TABLE.encode())}
            response = await client.post("/v1/datasets", data=fields, files=file)
            if response.status_code not in (429, 503):
                break
            refused[response.status_code] += 1
            await asyncio.sleep(float(response.headers["Retry-After"]) * spread)
        if response.status_code >= 400:
            return str(response.status_code)
        dataset = response.json()
        while dataset.get("state") == "reading" or response.status_code == 503:
            await asyncio.sleep(float(response.headers["Retry-After"]) * spread)
            response = await client.get(f"/v1/datasets/table-{number}")
            dataset = response.json()
        return str(dataset.get("state", response.status_code))

    async def everything() -> tuple[Counter[str], Counter[int]]:
        refused: Counter[int] = Counter()
        limits = httpx2.Limits(max_connections=None, keepalive_expiry=1)  # before the server's
        async with httpx2.AsyncClient(base_url=url, timeout=600, limits=limits) as client:
            ends = await asyncio.gather(*(one(client, n, refused) for n in range(count)))
        return Counter(ends), refused

    started = time.perf_counter()
    ends, refused = asyncio.run(everything())
    return {
        "uploads": count,
        "ends": dict(ends),
        "refused_meanwhile": {str(status): times for status, times in refused.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }


def under(server: LocalServer, quiet: dict[str, Any], load: str, size: str) -> dict[str, Any]:
    probes = Probes(server.url)
    command = [sys.executable, __file__, "--load", load, server.url, size]
    process = psutil.Process(server.pid)
    before = sum(process.cpu_times()[:2])
    started = time.perf_counter()
    with probes.asking():
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    used = sum(process.cpu_times()[:2]) - before
    found = {"load": load, **json.loads(done.stdout), "others": probes.figures(quiet["others"])}
    if load == "bodies":
        used -= quiet["cpu_share"] * (time.perf_counter() - started)
        found["cpu_ms"] = round(1000 * used / sum(b["sent"] for b in found["bodies"].values()), 1)
    return found


def measure(uploads: list[int], seconds: float) -> dict[str, Any]:
    with (
        temporary_folder("bench") as home,
        running_server(
            home, with_dispatcher=False, environment={"NASMITH_LOG_LEVEL": "error"}
        ) as server,
    ):
        with httpx2.Client(base_url=server.url, timeout=300) as client:  # it has imported all then
            client.post("/v1/searches?dry_run=true", json=REQUEST)
        probes, process = Probes(server.url), psutil.Process(server.pid)
        before = sum(process.cpu_times()[:2])
        with probes.asking():
            time.sleep(seconds)
        share = (sum(process.cpu_times()[:2]) - before) / seconds
        quiet = {"others": probes.figures(), "cpu_share": round(share, 3)}
        runs = [under(server, quiet, "bodies", str(seconds))]
        runs += [under(server, quiet, "uploads", str(count)) for count in uploads]
    return {"quiet": quiet, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, nargs="*", default=[64])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load, url, size = options.load
        sent = (
            {"bodies": send_bodies(url, float(size))}
            if load == "bodies"
            else send_uploads(url, int(size))
        )
        print(json.dumps(sent))
        return
    result = {
        "benchmark": "hostile",
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        **measure(options.uploads, options.seconds),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
