"""How long someone waits: for a server, and for the first result on a server that is warm.

    python benchmarks/first_result.py [--starts 5] [--searches 5]

- `serve_ready_seconds`: from starting the process `nasmith serve` on a fresh home until its API is
  ready: it takes searches from then on, while its dispatcher still starts Ray. The first
  start, which warms the file cache, is left out. `stop_seconds`: from SIGTERM to its end.
- `first_result`: of a search that leaves everything to the defaults, `{"dataset": "digits"}`, two
  trials at a time, on a server that has run a search before and has had `settle_seconds`;
  `first_result_of_cells`: the same of cnn_cell and regularized_evolution. By the client's clock:
  `accepted_seconds` from the request to its answer; `begun_seconds` from there until the client
  hears that the trial has begun which is the first to complete; `total_seconds` from the request
  until it hears that this one has completed. `waiting_seconds` is the total without the seconds in
  which the trial was trained (`train_seconds`): unlike the total, it does not depend on which
  network the seed draws first.
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

OPEN: dict[str, Any] = {"dataset": "digits"}
CELLS: dict[str, Any] = {
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


def first_result(client: Client, request: dict[str, Any]) -> dict[str, float]:
    """Of one search, which is cancelled then."""
    requested = time.perf_counter()
    search = client.searches.create(request)
    accepted = time.perf_counter()
    begun: dict[int, float] = {}
    for event in search.events():
        now = time.perf_counter()
        if event.type == "trial.started":
            begun[event.data["number"]] = now
        elif event.type == "trial.ended" and event.data["state"] == "completed":
            break
    else:
        raise RuntimeError(f"no trial completed: {search.refresh().state_reason}")
    search.cancel()
    while not search.refresh().has_ended:
        time.sleep(0.1)
    training = event.data["metrics"]["train_seconds"]
    return {
        "accepted_seconds": accepted - requested,
        "begun_seconds": begun[event.data["number"]] - accepted,
        "train_seconds": training,
        "waiting_seconds": now - requested - training,
        "total_seconds": now - requested,
    }


def first_results(number: int, request: dict[str, Any]) -> dict[str, Any]:
    with (
        temporary_folder("bench") as home,
        running_server(home) as server,
        Client(server.url) as client,
    ):
        results = []
        for _ in range(number + 1):
            results.append(first_result(client, request))
            time.sleep(SETTLE_SECONDS)
    return {name: summary([result[name] for result in results[1:]]) for name in results[0]}


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
        "first_result": first_results(options.searches, OPEN),
        "first_result_of_cells": first_results(options.searches, CELLS),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
