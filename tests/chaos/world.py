"""A dispatcher with everything below it, as real processes, and the hands to break it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from sqlalchemy import select, text

from search.request.resolve import resolve
from service.api.searches.actions import update
from service.api.searches.validation import patched
from service.settings import ServiceSettings, environment
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.searches import SearchRepository, Submission
from service.sql.states import ENDED, SearchState
from service.sql.tables import Search, Trial
from service.sql.transitions import change_state
from tests.support.processes import is_driver, runs

DISPATCH = (
    "from service.running.dispatcher import dispatch; "
    "from service.settings import ServiceSettings; "
    "dispatch(ServiceSettings())"
)


def tiny_search(trials: int = 6, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A real search whose trials train in about 0.1 s."""
    return {
        "dataset": "digits",
        "space": {"family": "cnn_cell", "nodes": 2, "channels": 4, "cells": 1},
        "training": {"epochs": 2, "batch_size": 256, "learning_rate": {"low": 0.01, "high": 0.1}},
        "strategy": {"name": "random"},
        "budget": {"trials": trials},
        "resources": {"parallel_trials": 2},
        "final": {"top": 1, "seeds": 1, "epochs": 1},
        "baselines": [],
        "seed": seed,
        **changes,
    }


class World:
    """`acknowledged` is kept outside of the database: the searches that a client was promised."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.sessions: Sessions = connect(settings.database_url)
        self.acknowledged = settings.home / "acknowledged"
        self._dispatcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        with (self.settings.logs / "dispatcher.log").open("ab") as log:
            self._dispatcher = subprocess.Popen(
                [sys.executable, "-c", DISPATCH],
                env={**os.environ, **environment(self.settings)},
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    @property
    def dialect(self) -> str:
        return self.sessions.engine.dialect.name

    @property
    def dispatcher(self) -> subprocess.Popen[bytes]:
        assert self._dispatcher is not None
        return self._dispatcher

    def stop(self) -> float:
        """SIGTERM; the seconds until the dispatcher had ended."""
        start = time.monotonic()
        self.dispatcher.terminate()
        self.dispatcher.wait(60)
        return time.monotonic() - start

    def kill_dispatcher(self) -> None:
        self.dispatcher.kill()
        self.dispatcher.wait()

    def close(self) -> None:
        if self._dispatcher is not None and self._dispatcher.poll() is None:
            self.stop()
        for process in self.processes():
            process.kill()
        self.sessions.engine.dispose()

    def submit(self, body: Mapping[str, Any]) -> str:
        resolved = resolve(body)
        submission = Submission(resolved.spec, resolved.dataset.fingerprint, {})
        with self.sessions.begin() as session:
            search, _ = SearchRepository(session, DEFAULT_TENANT).submit(submission, None, "")
        with self.acknowledged.open("a") as file:
            file.write(json.dumps({"id": search.id}) + "\n")
        return search.id

    def request(self, search_id: str, action: str) -> None:
        """Ask as the API does."""
        with self.sessions.begin() as session:
            search = SearchRepository(session, DEFAULT_TENANT).get(search_id, lock=True)
            search.requested = action

    def resume(self, search_id: str) -> None:
        with self.sessions.begin() as session:
            search = SearchRepository(session, DEFAULT_TENANT).get(search_id, lock=True)
            change_state(session, search.id, SearchState.QUEUED)

    def shorten(self, search_id: str) -> None:
        """Have it end after the next few trials, by a change of its budget as the API makes it."""
        with self.sessions.begin() as session:
            search = SearchRepository(session, DEFAULT_TENANT).get(search_id, lock=True)
            before, spec = patched(search.spec, {"budget": {"trials": search.trials_done + 4}})
            update(session, search, before, spec)

    def settle(self) -> None:
        """Cancel whatever a test left."""
        with self.sessions.read() as session:
            query = select(Search.id).where(Search.state.not_in(ENDED))
            for search_id in session.scalars(query).all():
                self.cancel(search_id)

    def cancel(self, search_id: str) -> None:
        """As the API does: at once where no driver has the search."""
        with self.sessions.begin() as session:
            search = SearchRepository(session, DEFAULT_TENANT).get(search_id, lock=True)
            if search.state in (SearchState.QUEUED, SearchState.PAUSED):
                change_state(session, search.id, SearchState.CANCELLED)
            elif search.state == SearchState.RUNNING:
                search.requested = "cancel"
        self.until_ended(search_id)

    def search(self, search_id: str) -> Search:
        with self.sessions.read() as session:
            return session.get_one(Search, search_id)

    def trials(self, search_id: str) -> list[Trial]:
        with self.sessions.read() as session:
            query = select(Trial).where(Trial.search_id == search_id).order_by(Trial.number)
            return list(session.scalars(query))

    def has_ended(self, search_id: str) -> bool:
        return self.search(search_id).state in ENDED

    def is_swept(self) -> bool:
        """Whether the checkpoints of ended searches are gone, which takes a few seconds."""
        folder = self.settings.home / "checkpoints"
        left = [path.name for path in folder.iterdir()] if folder.exists() else []
        return not any(self.has_ended(search_id) for search_id in left)

    def processes(self) -> list[psutil.Process]:
        """Every live process that was started for this home."""
        found = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("NASMITH_HOME")
                alive = process.status() != psutil.STATUS_ZOMBIE
            except (psutil.Error, OSError):
                continue
            if home == str(self.settings.home) and alive:
                found.append(process)
        return found

    def drivers(self) -> list[psutil.Process]:
        """Processes of the dispatcher that run a search or wait for one."""
        try:
            below = psutil.Process(self.dispatcher.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in below if is_driver(process)]

    def ray_head(self) -> psutil.Process:
        children = psutil.Process(self.dispatcher.pid).children()
        (head,) = [child for child in children if runs(child, "service.running.ray_head")]
        return head

    def cut_connections(self) -> None:
        """As a restart of PostgreSQL does to everybody else."""
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        with self.sessions.begin() as session:
            session.execute(
                text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608 - a constant
            )

    def driver_of(self, search_id: str) -> psutil.Process:
        """The driver that has the search's log open."""
        log = str(self.settings.logs / f"{search_id}.log")

        def find() -> psutil.Process | None:
            for driver in self.drivers():
                if os.path.realpath(f"/proc/{driver.pid}/fd/2") == log:
                    return driver
            return None

        return self.until(find)

    def until(self, condition: Callable[[], Any], seconds: float = 300.0) -> Any:
        """What the condition gives once it is true."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s in vain; {self.describe()}")
            time.sleep(0.05)

    def until_ended(self, search_id: str, seconds: float = 300.0) -> None:
        self.until(lambda: self.has_ended(search_id), seconds)

    def until_taken_after(self, search_id: str, token: int) -> None:
        """Until there is a claim after the one with `token`, or nothing left to claim."""
        self.until(lambda: self.search(search_id).lease_token > token or self.has_ended(search_id))

    def describe(self) -> str:
        """What a failed test needs to be understood."""
        logs = []
        for path in sorted(self.settings.logs.glob("*.log")):
            logs.append(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")
        with self.sessions.read() as session:
            states = [(s.id, s.state, s.state_reason) for s in session.scalars(select(Search))]
        return f"{states}\n" + "\n".join(logs)


def kill(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> None:
    process.send_signal(number)
