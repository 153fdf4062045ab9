"""The dashboard of a search with many trials, in a real Chromium without a window.

    python benchmarks/dashboard.py [--trials 10000] [--loads 20] [--pictures FOLDER]

One API process on SQLite, a search whose trials are written as rows, with three epochs each.
`usable_ms`: from asking for the page to its state and progress being there; `drawn_ms`: to the last
chart, of the first load, for which the report is worked out, and the median of the others.
`page_bytes`: the memory of scripts in the page. `p99_ms` is of the requests of the pages, one after
the other. With `--pictures`, every page is kept as a PNG.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import insert

from models.architecture import Architecture
from models.processes.folders import temporary_folder
from models.recipe import Recipe
from nasmith import Client
from search.engine.stages.candidates import CANDIDATE
from search.trial import Candidate, Trial, TrialState
from service.server.local_server import running_server
from service.sql import tables
from service.sql.database import DEFAULT_TENANT, connect
from service.sql.trial_rows import row_of_end

REQUEST: dict[str, Any] = {
    "name": "many trials",
    "dataset": "digits",
    "space": {"family": "cnn_cell", "topology": "nasbench201", "channels": 4, "cells": 1},
    "strategy": {"name": "random"},
    "training": {"epochs": 3},
}
EPOCHS = 3
OPERATIONS = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")


def fill(database: Path, search_id: str, count: int) -> None:
    """Trials whose scores rise slowly, as rows."""
    rng = Random(0)  # noqa: S311 - no secret
    fixed = {"topology": "nasbench201", "nodes": 4, "cells": 1, "channels": 4}
    trials, epochs = [], []
    for number in range(count):
        edges = {f"edge_{a}_{b}": rng.choice(OPERATIONS) for b in range(1, 4) for a in range(b)}
        score = min(0.99, rng.gauss(0.6 + 0.3 * number / count, 0.05))
        trial = Trial(
            number=number,
            kind=CANDIDATE,
            proposal=Candidate(Architecture("cnn_cell", {**fixed, **edges}), Recipe(epochs=EPOCHS)),
            state=TrialState.COMPLETED,
            architecture_key=f"{number:064x}",
            recipe_key="b" * 64,
            metrics={"val_accuracy": score, "parameters": 1000.0 + rng.random()},
            fitness=(score,),
            seconds=1.5,
            worker=f"node/{number % 8}",
        )
        trials.append(row_of_end(search_id, DEFAULT_TENANT, trial, number + 1))
        for epoch in range(1, EPOCHS + 1):
            metrics = {"val_accuracy": score * epoch / EPOCHS}
            epochs.append(
                {
                    "search_id": search_id,
                    "tenant_id": DEFAULT_TENANT,
                    "number": number,
                    "epoch": epoch,
                    "metrics": metrics,
                    "derived": None,
                }
            )
    sessions = connect(f"sqlite:///{database}")
    with sessions.begin() as session:
        session.execute(insert(tables.Trial), trials)
        session.execute(insert(tables.Epoch), epochs)
        session.get_one(tables.Search, search_id).trials_done = count
    sessions.engine.dispose()


def load(browser: Browser, url: str) -> tuple[float, float, int]:
    """Milliseconds until the page can be used, and until all is drawn; bytes of its scripts."""
    page = browser.new_page()
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("#progress progress").wait_for()
    usable = time.perf_counter() - started
    page.locator("#charts figure svg").last.wait_for()
    drawn = time.perf_counter() - started
    used = page.evaluate("performance.memory.usedJSHeapSize")
    page.close()
    return usable * 1000, drawn * 1000, int(used)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def requests(url: str, paths: list[str], rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with httpx2.Client(base_url=url, timeout=60.0) as client:
        for path in paths:
            taken, size = [], 0
            for _ in range(rounds):
                started = time.perf_counter()
                size = len(client.get(path).raise_for_status().content)
                taken.append((time.perf_counter() - started) * 1000)
            found[path.rpartition("/")[2]] = {
                "bytes": size,
                "p50_ms": round(statistics.median(taken), 1),
                "p99_ms": round(percentile(taken, 0.99), 1),
            }
    return found


def keep_pictures(browser: Browser, url: str, search_id: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = f"/dashboard/searches/{search_id}"
    pages = {
        "searches": "/dashboard",
        "search": path,
        "trials": f"{path}/trials",
        "trial": f"{path}/trials/0",
        "datasets": "/dashboard/datasets",
        "dataset": "/dashboard/datasets/digits",
        "catalog": "/dashboard/catalog",
        "keys": "/dashboard/keys",
        "report": f"/v1/searches/{search_id}/report?format=html",
    }
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    for name, address in pages.items():
        page.goto(url + address)
        if name == "search":
            page.locator("#charts figure svg").last.wait_for()
        page.screenshot(path=folder / f"{name}.png", full_page=True)
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine (Debian: apt install chromium)")
    with (
        temporary_folder("bench") as home,
        running_server(
            home, with_dispatcher=False, environment={"NASMITH_LOG_LEVEL": "warning"}
        ) as server,
        Client(server.url) as client,
        sync_playwright() as playwright,
    ):
        search = client.searches.create(REQUEST, budget={"trials": options.trials})
        fill(server.home / "nasmith.db", search.id, options.trials)
        search.cancel()
        path = f"/dashboard/searches/{search.id}"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        loads = [load(browser, server.url + path) for _ in range(options.loads)]
        if options.pictures is not None:
            keep_pictures(browser, server.url, search.id, options.pictures)
        browser.close()
        paths = [path, f"{path}/charts", f"{path}/trials"]
        asked = requests(server.url, paths, options.loads)
    result = {
        "benchmark": "dashboard",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "trials": options.trials,
        "loads": options.loads,
        "usable_ms": {
            "first": round(loads[0][0]),
            "median": round(statistics.median(found[0] for found in loads[1:])),
        },
        "drawn_ms": {
            "first": round(loads[0][1]),
            "median": round(statistics.median(found[1] for found in loads[1:])),
        },
        "page_bytes": max(found[2] for found in loads),
        "requests": asked,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
