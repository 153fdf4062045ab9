"""The table of promises, with what chaos runs have measured of each.

A run may be of some tests alone: what others have measured before stays, with the run that it is
from, in `measured.json`.
"""

from __future__ import annotations

import json
import os
import platform
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
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
    "R10": (
        "a long queue is fair",
        "10,000 searches of 20 tenants; list p95 100 ms, claim p99 25 ms",
    ),
    "R11": ("a long search stays small", "50,000 trials: 4 KB of memory a trial at most"),
    "R12": ("a full disk pauses a search", "no corruption; goes on when there is space"),
    "R13": ("no half file is ever seen", "0 torn files"),
    "R14": ("migrations lose nothing", "up, down, up with data, both databases"),
    "R15": ("the same seed is the same search", "same proposals, same winner"),
    "R16": ("a key is one search", "exactly one search a key"),
    "R17": ("a stream has no holes", "0 events missed, 0 told twice"),
    "R18": ("one client cannot slow the others", "p99 of the others 2 x at most, a cancel in 1 s"),
    "R19": ("children end with their parent", "0 processes after 5 s, 0 temporary folders"),
    "S1": ("every route is guarded", "401 or 404 on every route but a listed few"),
    "S2": ("no default secret", "keys are hashed; no address beyond loopback without keys"),
    "S3": ("no path leads outside", "0 reads or writes outside of the home"),
    "S4": ("no code comes from data", "0 executions"),
    "S5": ("a search space is only data", "no 5xx, 200 ms, bodies of 1 MiB"),
    "S6": ("the API keeps its document", "100 cases an operation, 0 failures"),
    "S7": ("limits hold", "413, 422 or 429 with Retry-After"),
    "S8": ("secrets stay out of logs", "0 hits"),
    "S9": ("no known hole in what is installed", "0 known high or critical"),
    "S10": ("no page of another origin acts", "0 changes"),
    "P1": ("polling is cheap", "500 pollers a second: p99 50 ms, 0 errors"),
    "P2": ("a first result is there soon", "digits: 5 s from submit"),
    "P3": ("a start is short", "`serve` ready in 5 s, `--help` in 0.5 s"),
}

ELSEWHERE: Mapping[str, str] = {
    "R3": "no fault is drawn: `tests/search/engine/test_ray_tune.py` kills, freezes and starves a "
    "worker, and freezes one while it starts",
    "R10": "`benchmarks/tenants.py`, figures in the README",
    "R11": "not measured: 50,000 trials take longer than a run may",
    "R14": "`tests/service/sql/test_database.py`, both databases",
    "R18": "`benchmarks/hostile.py`; slow files and dry runs: `tests/service/api/test_lanes.py`, "
    "`tests/service/api/test_turns.py`",
    "R19": "`tests/models/processes/test_children.py`, `tests/models/processes/test_trees.py`, "
    "`tests/models/datasets/test_sandbox.py`, `tests/service/server/test_serve.py`",
    "S1": "`tests/service/api/test_keys_api.py` and `tests/service/api/test_tenants.py` walk every "
    "route",
    "S2": "`tests/service/server/test_admin_key.py`, `tests/service/server/test_serve.py`",
    "S3": "`tests/service/api/test_datasets_api.py`, `tests/nasmith/test_client_bundle.py`, "
    "`tests/service/backup/test_backup.py`",
    "S4": "`tests/models/datasets/test_formats.py`, `tests/models/test_checkpoint.py`",
    "S5": "`tests/search/request/test_validation.py` draws spaces (`make fuzz`: 3,000), "
    "`tests/service/api/test_problems.py` has the bodies",
    "S6": "`tests/service/api/test_fuzz_api.py`: 25 cases an operation, not 100; 1,754 in all "
    "phases, with a key, 0 failures",
    "S7": "`tests/service/api/test_quota_api.py`, `tests/service/api/test_problems.py`, "
    "`tests/models/datasets/test_formats.py`",
    "S8": "`tests/service/api/test_keys_api.py`, `tests/service/commands/test_cli.py`",
    "S9": "`make audit`, with the reason of each exception",
    "S10": "`tests/service/api/test_origins.py`; in a browser: `tests/browser/test_dashboard.py`",
    "P1": "`benchmarks/polling.py`, figures in the README",
    "P2": "`benchmarks/first_result.py`, figures in the README",
    "P3": "`benchmarks/first_result.py`; `tests/service/commands/test_cli.py` counts what `--help` "
    "imports",
}
"""What holds a promise of which a chaos run has no figure, or why nothing does."""

ROOM = "<!-- measured by `make chaos` -->\n"
MEASURED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Run:
    """One process of pytest."""

    date: str
    machine: str
    seed: int
    rounds: int

    @classmethod
    def now(cls) -> Run:
        size = psutil.virtual_memory().total / 2**30
        system = f"{platform.system()}, Python {platform.python_version()}"
        machine = f"{os.cpu_count()} cores, {size:.0f} GiB, {system}"
        return cls(f"{datetime.now(UTC):%Y-%m-%d}", machine, SEED, ROUNDS)

    def __str__(self) -> str:
        return f"{self.date}, {self.machine}, seed {self.seed}, {self.rounds} faults of a kind"


@dataclass(frozen=True)
class Figure:
    """`load`: processes that wanted a core, in the minute before the test ended."""

    promise: str
    test: str
    text: str
    load: float
    run: Run


class Figures:
    """`known`: of earlier runs."""

    def __init__(self, known: list[Figure]) -> None:
        self._known = {(figure.promise, figure.test): figure for figure in known}
        self._new: dict[tuple[str, str], Figure] = {}
        self._run = Run.now()

    @classmethod
    def read(cls, file: Path = MEASURED) -> Figures:
        entries = json.loads(file.read_text()) if file.exists() else []
        return cls([Figure(**{**entry, "run": Run(**entry["run"])}) for entry in entries])

    def add(self, promise: str, database: str, text: str) -> None:
        """What a test that held has measured, in place of what it did before."""
        assert promise in PROMISES
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        load = round(os.getloadavg()[0], 1)
        said = f"{database}: {text}"
        self._new[promise, test] = Figure(promise, test, said, load, self._run)
        print(f"{promise}, {said}")

    def _all(self) -> Iterable[Figure]:
        return {**self._known, **self._new}.values()

    def table(self) -> str:
        figures = sorted(self._all(), key=lambda figure: figure.test)
        runs = sorted({figure.run for figure in figures}, key=str)
        lines = [f"{_letter(number)}. {run}" for number, run in enumerate(runs)]
        lines += ["", "| id | promise | asked for | measured (run, load) |", "|---|---|---|---|"]
        for name, (promise, asked) in PROMISES.items():
            found = [
                f"{figure.text} ({_letter(runs.index(figure.run))}, {figure.load:g})"
                for figure in figures
                if figure.promise == name
            ]
            if not found:
                found = [ELSEWHERE.get(name, "**no figure: its test did not pass**")]
            lines.append(f"| {name} | {promise} | {asked} | {'; '.join(found)} |")
        return "\n".join(lines) + "\n"

    def write(self, page: Path, file: Path = MEASURED) -> None:
        """Below the line of the page that says that it is measured; with what other runs have
        written since this one began.
        """
        self._known |= Figures.read(file)._known
        figures = sorted(self._all(), key=lambda figure: (figure.promise, figure.test))
        file.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
        head, _, _ = page.read_text().partition(ROOM)
        page.write_text(f"{head}{ROOM}\n{self.table()}")


def _letter(number: int) -> str:
    return chr(ord("a") + number)
