"""Holding a search while it runs: a thread keeps the lease, and ends the process without it."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from search.engine.journal import StaleOwnerError
from search.engine.patience import SILENT_SECONDS
from service.running.exits import Exit
from service.sql.lease import Claim
from service.sql.outages import OUTAGE_SECONDS, outlast
from service.sql.queue import Queue, Requests

log = logging.getLogger(__name__)

STALL_SECONDS = 300.0  # a turn may hold a long thought of the strategy, on a busy machine
STILL = f"its strategy or the engine has thought for more than {SILENT_SECONDS:g} s"
POLL_SECONDS = 0.5
SETTLING_SECONDS = 1.0
"""Between the end of a search and `close`: a lease that is gone by then is lost."""


class Stopwatch:
    """Seconds that a search has run, over all its owners."""

    def __init__(self, before: float) -> None:
        self.before, self._start = before, time.monotonic()

    def elapsed(self) -> float:
        return self.before + time.monotonic() - self._start


class LeaseKeeper(threading.Thread):
    """Extends the lease, knows what the clients of the search ask, tells them what it waits for.

    The process ends at once, wherever its other threads are, when the lease is lost, when the
    search is cancelled, and when the process is to stop. What the others have not committed then
    never happened; a search that was only stopped goes on from its journal with another owner.
    """

    def __init__(
        self,
        queue: Queue,
        claim: Claim,
        requests: Requests,
        *,
        stall_seconds: float = STALL_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
        exit: Callable[[int], object] = os._exit,
    ) -> None:
        super().__init__(name="lease-keeper", daemon=True)
        self._queue, self._claim, self._requests = queue, claim, requests
        self._stall_seconds, self._silent_seconds = stall_seconds, silent_seconds
        self._exit = exit
        self.stopwatch = Stopwatch(requests.elapsed_seconds)
        self._wake = threading.Event()
        self._is_stopping = self._is_over = False
        self._last_turn: float | None = None
        self._obstacle: str | None = None
        self._told: str | None = None
        self._beaten = time.monotonic()

    @property
    def requests(self) -> Requests:
        """The clients' wishes of at most `POLL_SECONDS` ago; older while the database is away."""
        return self._requests

    def run(self) -> None:
        while not self._is_over:
            if self._is_stopping:
                return self._give_back()
            if self._stands_for(self._stall_seconds):
                log.error("no turn of the engine for %g s, stopping", self._stall_seconds)
                faulthandler.dump_traceback(sys.stderr)
                return self._end(Exit.STALLED)
            try:
                self._attend()
            except StaleOwnerError:
                self._wake.wait(SETTLING_SECONDS)
                if self._is_over:
                    return
                log.error("lost %s, stopping", self._claim)
                return self._end(Exit.LOST)
            except SQLAlchemyError:
                away = time.monotonic() - self._beaten
                if away > OUTAGE_SECONDS + self._queue.lease_seconds:
                    log.exception("no heartbeat for %.0f s, stopping", away)
                    return self._end(Exit.OUTAGE)
            self._wake.wait(POLL_SECONDS)

    def _attend(self) -> None:
        self._requests = self._queue.requests(self._claim)
        if self._requests.action == "cancel":
            self._queue.settle(self._claim)
            log.info("%s was cancelled", self._claim.search_id)
            return self._end(Exit.DONE)
        if time.monotonic() - self._beaten >= self._queue.lease_seconds / 3:
            self._queue.heartbeat(self._claim, self.stopwatch.elapsed())
            self._beaten = time.monotonic()
        obstacle = STILL if self._stands_for(self._silent_seconds) else self._obstacle
        if obstacle != self._told:
            self._queue.explain(self._claim, obstacle)
            self._told = obstacle

    def stop(self) -> None:
        """Give the search back and end the process. Returns at once; safe in a signal handler."""
        self._is_stopping = True
        self._wake.set()

    def close(self) -> None:
        """The search is settled: there is nothing to hold any more."""
        self._is_over = True
        self._wake.set()

    def turn(self) -> None:
        """The engine is alive; from the first call on it has to call again."""
        self._last_turn = time.monotonic()

    def rest(self) -> None:
        """The engine is done: what follows takes its own time."""
        self._last_turn = self._obstacle = None

    def tell(self, obstacle: str | None) -> None:
        """What the search waits for; None: for nothing. Its clients hear of it soon."""
        self._obstacle = obstacle

    def _stands_for(self, seconds: float) -> bool:
        last = self._last_turn
        return last is not None and time.monotonic() - last > seconds

    def _give_back(self) -> None:
        try:
            outlast(lambda _: self._queue.release(self._claim), seconds=3)
        except SQLAlchemyError:
            log.exception("could not give %s back; its lease will expire", self._claim)
        self._end(Exit.DONE)

    def _end(self, code: Exit) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._exit(code)
