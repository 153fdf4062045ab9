"""The table of promises, with what a chaos run has measured of each."""

from __future__ import annotations

import os
import platform
import random
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROUNDS = int(os.environ.get("NASMITH_CHAOS_ROUNDS", "2"))
"""Faults of each kind; the promises are held with 100."""

SEED = int(os.environ.get("NASMITH_CHAOS_SEED") or random.SystemRandom().randrange(10**6))

PROMISES: Mapping[str, tuple[str, str]] = {
    "R1": ("a killed API loses nothing", "0 accepted searches lost, ready again in 5 s"),
    "R2": (
        "a killed driver repeats nothing finished",
        "0 trials run again, repeats in flight at most parallel_trials a kill, picked up in "
        "2 leases + 5 s",
    ),
    "R3": ("a killed worker costs one attempt", "the trial goes on, others are unhurt"),
    "R4": ("a lost Ray head is replaced", "0 results lost, a new head in 120 s"),
    "R5": ("the database may go away", "workers keep and resend, nothing is lost"),
    "R6": ("a stale owner writes nothing", "all late writes refused"),
    "R7": ("a stop is clean", "exit in 10 s, nothing repeated"),
    "R8": ("a cancel ends a search whenever it comes", "all cancelled, p95 in 5 s"),
    "R9": ("nothing hangs", "a frozen driver costs its lease"),
    "R12": ("a full disk pauses a search", "no corruption; goes on when there is space"),
    "R13": ("no half file is ever seen", "0 torn files"),
    "R15": ("the same seed is the same search", "same proposals, same winner"),
    "R16": ("a key is one search", "exactly one search a key"),
    "R17": ("a stream has no holes", "0 events missed, 0 told twice"),
}

OPEN: Mapping[str, str] = {
    "R3": "no figure here: `tests/search/engine/test_ray_tune.py` kills, freezes and starves one "
    "each; a worker that freezes while it starts is told after 60 s and not replaced",
    "R12": "no run on a full file system has been made; below `disk_reserve_bytes` a search is "
    "paused with the cause and goes on when there is space: `tests/service/running/test_driver.py`",
}
"""Why there is no figure."""

ROOM = "<!-- measured by `make chaos` -->\n"


class Figures:
    def __init__(self) -> None:
        self._found: dict[str, list[str]] = defaultdict(list)

    def add(self, promise: str, database: str, text: str) -> None:
        """What a test that held has measured."""
        assert promise in PROMISES
        self._found[promise].append(f"{database}: {text}")
        print(f"{promise}, {database}: {text}")

    def table(self) -> str:
        when = datetime.now(UTC)
        size = psutil.virtual_memory().total / 2**30
        lines = [
            f"{when:%Y-%m-%d}, {os.cpu_count()} cores, {size:.0f} GiB, {platform.system()}, "
            f"Python {platform.python_version()}, seed {SEED}, {ROUNDS} faults of a kind.",
            "",
            "| id | promise | asked for | measured |",
            "|---|---|---|---|",
        ]
        for name, (promise, asked) in PROMISES.items():
            found = self._found.get(name) or [
                OPEN.get(name, "**no figure: its test did not pass**")
            ]
            lines.append(f"| {name} | {promise} | {asked} | {'; '.join(found)} |")
        return "\n".join(lines) + "\n"

    def write(self, page: Path) -> None:
        """Below the line of the page that says that it is measured."""
        head, _, _ = page.read_text().partition(ROOM)
        page.write_text(f"{head}{ROOM}\n{self.table()}")
