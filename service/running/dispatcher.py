"""`nasmith dispatch`: claims searches and gives each to a driver, on one Ray runtime for all.

A light process: Ray and torch live in its children, which die with it. It keeps one warm driver in
reserve, because a fresh one takes seconds to import what a search needs.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from models.processes.folders import sweep
from models.processes.names import is_gone, process_name
from service.logs import configure_logs
from service.running.driver_process import DriverProcess, cause_of, is_blamed
from service.running.lease_keeper import Exit
from service.running.ray_runtime import RayRuntime
from service.settings import ServiceSettings, environment
from service.sql.database import connect, is_migrated
from service.sql.lease import Claim
from service.sql.outages import is_outage
from service.sql.queue import Queue
from service.store.leftovers import Leftovers

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
UPKEEP_SECONDS = 2.0
WARM_UP_SECONDS = 180.0
CALM_SECONDS = 4.0
"""A search that has just begun needs the cores more than the next spare driver does."""
QUIET_SECONDS = 5.0
"""After an outage of the database, owners get this long to extend their leases."""
SWEEP_SECONDS = 3.0
"""Until the workers of a driver that has ended are gone, and write nothing more."""
STOP_SECONDS = 4.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Dispatcher:
    def __init__(self, settings: ServiceSettings, runtime: RayRuntime) -> None:
        self._settings, self._runtime = settings, runtime
        self._sessions = connect(settings.database_url, connections=2)
        self._queue = Queue(self._sessions, settings.lease_seconds)
        self._owner = process_name()
        self._drivers: list[DriverProcess] = []
        self._unreleased: list[tuple[Claim, int]] = []
        self._leftovers = Leftovers(self._sessions, settings.store_url)
        self._unswept: list[tuple[float, str]] = []  # when, and which search
        self._selector = selectors.DefaultSelector()
        self._is_stopping = self._can_run = False
        self._quiet_until = self._away_since = self._upkeep_at = 0.0
        self._calm_until = self._spare_at = 0.0
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Until `stop`."""
        self._listen_for_signals()
        try:
            while not self._is_stopping:
                try:
                    self._turn()
                except SQLAlchemyError as error:
                    if not is_outage(error):
                        raise
                    self._note_outage(error)
                self._wait()
        finally:
            self._end()

    def stop(self) -> None:
        self._is_stopping = True

    def _note_outage(self, error: SQLAlchemyError) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            log.warning("the database is away: %s", error)
            self._away_since = now
        self._quiet_until = now + QUIET_SECONDS
        if now - self._away_since >= self._settings.lease_seconds:
            for driver in self._drivers:
                if driver.is_frozen:  # it may hold the lock that everybody waits for
                    log.error("driver %d is frozen, killing it", driver.pid)
                    driver.kill()

    def _turn(self) -> None:
        """One round of everything there is to do; each part is idle where there is nothing."""
        self._reap()
        now = time.monotonic()
        if now >= self._upkeep_at:
            self._upkeep_at = now + UPKEEP_SECONDS
            self._can_run = self._is_usable()
            if self._can_run:
                self._upkeep()
        self._give_back()
        if not self._can_run:
            return
        if now >= self._quiet_until:
            self._claim()
        self._keep_a_spare()

    def _is_usable(self) -> bool:
        """Whether database and Ray are there; a lost Ray head gets a successor."""
        with self._sessions.engine.connect() as connection:
            if not is_migrated(connection):
                log.warning("the database waits for `nasmith migrate`")
                self._upkeep_at = time.monotonic() + self._next_pause()
                return False
        if self._runtime.is_alive():
            return True
        for driver in self._drivers:  # none of them can go on
            driver.kill(Exit.NO_RAY)
        self._reap(wait=True)
        try:
            self._runtime.start()
        except RuntimeError as error:
            return self._wait_for_ray(str(error))
        if not self._runtime.is_alive():
            return self._wait_for_ray(f"no answer from the Ray cluster {self._runtime.address}")
        log.info("Ray is at %s", self._runtime.address)
        self._pause = FIRST_PAUSE
        self._queue.explain(None)
        self._leftovers.remove_all()
        sweep()
        return True

    def _wait_for_ray(self, problem: str) -> bool:
        pause = self._next_pause()
        log.error("%s; trying again in %.0f s", problem, pause)
        self._queue.explain(f"waiting for Ray: {problem}")
        self._upkeep_at = time.monotonic() + pause
        return False

    def _upkeep(self) -> None:
        while self._unswept and self._unswept[0][0] <= time.monotonic():
            self._leftovers.remove(self._unswept[0][1])
            self._unswept.pop(0)
            sweep()
        for search_id in self._queue.release_owners(is_gone):
            log.info("taking over %s from a dispatcher that is gone", search_id)
        held = self._queue.held_by(self._owner)
        for driver in self._drivers:
            if driver.claim is not None and driver.claim not in held:
                if driver.has_settled:
                    log.error("driver %d outlives %s, killing it", driver.pid, driver.claim)
                    driver.kill(Exit.LOST)
                driver.has_settled = True  # it gets until the next upkeep to end by itself
            if not driver.is_ready and time.monotonic() - driver.started > WARM_UP_SECONDS:
                log.error("driver %d did not get ready, killing it", driver.pid)
                driver.kill()

    def _claim(self) -> None:
        spares = [driver for driver in self._drivers if driver.is_spare]
        while spares and self._busy < self._settings.max_running_searches:
            claim = self._queue.claim(self._owner)
            if claim is None:
                return
            driver = spares.pop()
            log.info("driver %d gets %s", driver.pid, claim)
            try:
                driver.hand_over(claim)
            except OSError:  # it ended while it waited: not the search's fault
                self._unreleased.append((claim, Exit.NO_RAY))
                driver.claim = None
            self._calm_until = time.monotonic() + CALM_SECONDS

    def _keep_a_spare(self) -> None:
        if any(driver.claim is None for driver in self._drivers):
            return
        now = time.monotonic()
        if now < self._spare_at:
            return
        is_full = self._busy >= self._settings.max_running_searches
        if now < self._calm_until and (is_full or not self._queue.has_waiting()):
            return
        driver = DriverProcess(
            {**environment(self._settings), **self._runtime.environment()},
            self._settings.logs / "drivers.log",
        )
        self._drivers.append(driver)
        self._selector.register(driver.output, selectors.EVENT_READ, driver)

    @property
    def _busy(self) -> int:
        return sum(driver.claim is not None for driver in self._drivers)

    def _reap(self, *, wait: bool = False) -> None:
        """Note which drivers have ended, and which searches they left."""
        for driver in tuple(self._drivers):
            if wait:
                driver.wait(STOP_SECONDS)
            if driver.code is None:
                continue
            self._drivers.remove(driver)
            self._selector.unregister(driver.output)
            driver.close()
            code = driver.code if driver.killed_for is None else driver.killed_for
            if driver.claim is not None:
                if code != Exit.DONE:
                    log.error("%s was interrupted: %s", driver.claim, cause_of(code))
                self._unreleased.append((driver.claim, code))
            elif not self._is_stopping:
                self._lost_spare(driver, code)

    def _lost_spare(self, driver: DriverProcess, code: int) -> None:
        self._pause = FIRST_PAUSE if driver.is_ready else self._pause
        pause = self._next_pause()
        log_file = self._settings.logs / "drivers.log"
        log.error(
            "a spare driver ended with code %d, see %s; the next in %.0f s", code, log_file, pause
        )
        self._spare_at = time.monotonic() + pause
        if not driver.is_ready:
            self._queue.explain(f"waiting for a driver: the last one did not start (code {code})")

    def _give_back(self) -> None:
        """Release what ended drivers may still hold."""
        while self._unreleased:
            claim, code = self._unreleased[0]
            self._queue.interrupt(
                claim,
                cause_of(code),
                blamed=is_blamed(code),
                limit=self._settings.max_driver_crashes,
            )
            self._unreleased.pop(0)
            self._unswept.append((time.monotonic() + SWEEP_SECONDS, claim.search_id))

    def _wait(self) -> None:
        """Until a driver or a signal says something, or for `POLL_SECONDS`."""
        for key, _ in self._selector.select(POLL_SECONDS):
            if isinstance(key.data, DriverProcess):
                if not key.data.listen():
                    key.data.wait(1.0)
            else:
                key.data.recv(4096)

    def _listen_for_signals(self) -> None:
        receiver, sender = socket.socketpair()
        for end in (receiver, sender):
            end.setblocking(False)
        self._signal_ends = receiver, sender
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ, receiver)

        def stop(number: int, frame: FrameType | None) -> None:
            self.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def _end(self) -> None:
        """Drivers give their searches back; then Ray goes, and nothing is left."""
        for driver in self._drivers:
            driver.terminate()
        end = time.monotonic() + STOP_SECONDS
        for driver in self._drivers:
            if not driver.wait(max(0.0, end - time.monotonic())):
                log.error("driver %d did not stop, killing it", driver.pid)
                driver.kill(Exit.NO_RAY)
        self._reap(wait=True)
        try:
            for claim, _ in self._unreleased:
                self._queue.release(claim)
        except SQLAlchemyError as error:
            log.error("searches were not given back, their leases will expire: %s", error)
        self._runtime.stop()
        try:
            for claim, _ in self._unreleased:
                self._leftovers.remove(claim.search_id)
            for _, search_id in self._unswept:
                self._leftovers.remove(search_id)
        except SQLAlchemyError as error:
            log.error("files were left behind: %s", error)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for socket_ in self._signal_ends:
            socket_.close()
        self._sessions.engine.dispose()

    def _next_pause(self) -> float:
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause


def dispatch(settings: ServiceSettings) -> None:
    """Run queued searches until SIGTERM or SIGINT; in the main thread."""
    configure_logs(settings.log_level, settings.log_format)
    # Searches keep their workers as long as they run: without room for all of them, the later ones
    # would wait for the end of the earlier ones. The kernel shares the cores among them.
    cpus = (os.cpu_count() or 1) * settings.max_running_searches
    dispatcher = Dispatcher(settings, RayRuntime(settings, cpus))
    log.info("dispatching for %s", settings.home)
    dispatcher.run()
