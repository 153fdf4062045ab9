"""How long someone waits: for a server, and for the first result on a server that is warm.

    python benchmarks/first_result.py [--starts 5] [--searches 5]

- `serve_ready_seconds`: from starting the process `nasmith serve` on a fresh home until its API is
  ready: it takes searches from then on, while its dispatcher still starts Ray. The first
  start, which warms the file cache, is left out. `stop_seconds`: from SIGTERM to its end.
- `first_result_seconds`: from the request of a search that leaves everything to the defaults
  (digits, cnn_cell, regularized_evolution, two trials at a time) until a client hears that its
  first trial has completed. The server has run a search before, and has had `settle_seconds`.
- `help_seconds`: `nasmith --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from statistics import median
from typing import Any

from models.processes.folders import temporary_folder
from nasmith import Client
from service.server.local_server import LocalServer, running_server

REQUEST: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "regularized_evolution"},
}
SETTLE_SECONDS = 15.0


def starts(number: int) -> tuple[list[float], list[float]]:
    ready, stopped = [], []
    for index in range(number + 1):
        with temporary_folder("bench") as home:
            server = LocalServer(home)
            try:
                seconds = server.start()
            finally:
                stop_seconds = server.stop()
        if index:
            ready.append(seconds)
            stopped.append(stop_seconds)
    return ready, stopped


def first_result(client: Client) -> float:
    """Seconds from the request to the event of the first completed trial."""
    started = time.perf_counter()
    search = client.searches.create(REQUEST)
    for event in search.events():
        if event.type == "trial.ended" and event.data["state"] == "completed":
            break
    else:
        raise RuntimeError(f"no trial completed: {search.refresh().state_reason}")
    seconds = time.perf_counter() - started
    search.cancel()
    while not search.refresh().has_ended:
        time.sleep(0.1)
    return seconds


def first_results(number: int) -> list[float]:
    with (
        temporary_folder("bench") as home,
        running_server(home) as server,
        Client(server.url) as client,
    ):
        seconds = []
        for _ in range(number + 1):
            seconds.append(first_result(client))
            time.sleep(SETTLE_SECONDS)
    return seconds[1:]


def help_seconds(number: int = 5) -> list[float]:
    seconds = []
    for _ in range(number + 1):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "service.cli", "--help"], stdout=subprocess.DEVNULL, check=True
        )
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def summary(seconds: list[float]) -> dict[str, Any]:
    return {"median": round(median(seconds), 3), "all": [round(value, 3) for value in seconds]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--searches", type=int, default=5)
    options = parser.parse_args()
    ready, stopped = starts(options.starts)
    result = {
        "benchmark": "first_result",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "settle_seconds": SETTLE_SECONDS,
        "help_seconds": summary(help_seconds()),
        "serve_ready_seconds": summary(ready),
        "stop_seconds": summary(stopped),
        "first_result_seconds": summary(first_results(options.searches)),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
