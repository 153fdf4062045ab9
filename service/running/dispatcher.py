"""`nasmith dispatch`: claims searches and gives each to a driver, on one Ray runtime for all.

A light process: Ray and torch live in its children, which die with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from models.processes.names import process_name
from service.backoff import Backoff
from service.home import own_home
from service.logs import configure_logs
from service.running.dispatching.announcing import Announcer
from service.running.dispatching.claims import Claims
from service.running.dispatching.drivers import Drivers
from service.running.dispatching.frozen import Frozen
from service.running.dispatching.outages import Outages
from service.running.dispatching.presence import Presence
from service.running.dispatching.ray_keeper import RayKeeper
from service.running.dispatching.spares import Spares
from service.running.dispatching.sweeping import Sweeping
from service.running.exits import Exit
from service.running.ray_runtime import START_SECONDS, RayRuntime
from service.running.space import Space
from service.settings import ServiceSettings, environment
from service.sql.database import BUSY_SECONDS, connect, is_migrated
from service.sql.dispatchers import Dispatchers
from service.sql.limits import TenantLimits
from service.sql.outages import is_outage
from service.sql.queue import Queue
from service.store.leftovers import Leftovers

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
UPKEEP_SECONDS = 2.0
STOP_SECONDS = 4.0


class Dispatcher:
    def __init__(self, settings: ServiceSettings, runtime: RayRuntime) -> None:
        self._settings, self._runtime = settings, runtime
        self._sessions = connect(
            settings.database_url,
            connections=2,
            busy_seconds=min(BUSY_SECONDS, settings.lease_seconds / 3),
        )
        owner = process_name()
        limits = TenantLimits(settings.quota_running_searches, settings.quota_worker_seconds)
        self._drivers = Drivers()
        self._claims = Claims(
            Queue(self._sessions, settings.lease_seconds, limits),
            owner,
            self._drivers,
            most=settings.max_running_searches,
            most_crashes=settings.max_driver_crashes,
        )
        self._spares = Spares(self._drivers, self._claims, settings.logs / "drivers.log")
        self._frozen = Frozen(self._drivers, settings.lease_seconds)
        self._outages = Outages(self._frozen)
        self._sweeping = Sweeping(Leftovers(self._sessions, settings.store_url))
        self._presence = Presence(Dispatchers(self._sessions), owner, limits)
        self._announcer = Announcer(settings)
        self._ray = RayKeeper(runtime)
        self._space = Space(settings)
        self._migration = Backoff(1.0, 30.0)
        self._is_stopping = self._can_run = False
        self._upkeep_at = 0.0

    def run(self) -> None:
        """Until `stop`."""
        with self._woken_by_signals():
            try:
                while not self._is_stopping:
                    try:
                        self._turn()
                    except SQLAlchemyError as error:
                        if not is_outage(error):
                            raise
                        self._outages.note(error)
                    self._drivers.listen(POLL_SECONDS)
            finally:
                self._end()

    def stop(self) -> None:
        self._is_stopping = True

    def _turn(self) -> None:
        """One round of everything there is to do; each part is idle where there is nothing."""
        self._reap()
        now = time.monotonic()
        if now >= self._upkeep_at:
            self._upkeep_at = now + UPKEEP_SECONDS
            self._upkeep()
        for search_id in self._claims.give_back():
            self._sweeping.later(search_id)
        if not self._can_run:
            return
        if self._outages.are_over and self._space.shortage() is None:
            self._claims.take()
        surroundings = {**environment(self._settings), **self._runtime.environment()}
        self._spares.keep(surroundings, self._frozen.busy, self._runtime.forks)

    def _upkeep(self) -> None:
        self._frozen.check()  # first: one may hold the lock that the rest would wait for
        if not self._is_migrated():
            self._can_run = False
            return
        self._announcer.start()
        could_run, self._can_run = self._can_run, self._has_ray()
        self._spares.check()
        shortage = self._space.shortage()
        obstacle = shortage or self._ray.obstacle or self._spares.obstacle
        self._presence.tell(obstacle, self._runtime.node)
        if not self._can_run:
            return
        if not could_run:
            self._presence.sweep()
            self._sweeping.all()
        if self._outages.are_over:
            self._claims.check()
            if shortage is None:
                self._claims.go_on()
        self._sweeping.turn()

    def _is_migrated(self) -> bool:
        with self._sessions.engine.connect() as connection:
            if is_migrated(connection):
                return True
        log.warning("the database waits for `nasmith migrate`")
        self._upkeep_at = time.monotonic() + self._migration.pause()
        return False

    def _has_ray(self) -> bool:
        """A lost head gets a successor; what ran on it cannot go on."""
        if not self._ray.is_due:
            return False
        if self._ray.is_there():
            return self._ray.found()
        self._drivers.kill(Exit.NO_RAY)
        self._reap(STOP_SECONDS)
        self._presence.tell(self._ray.lost(), silent_seconds=START_SECONDS)
        return self._ray.start()

    def _reap(self, wait_seconds: float = 0.0) -> None:
        """Note which drivers have ended, and which searches they left."""
        for driver in self._drivers.ended(wait_seconds):
            if driver.claim is not None:
                self._claims.leave(driver.claim, driver.end)
            elif not self._is_stopping:
                self._spares.lost(driver)

    def _end(self) -> None:
        """Drivers give their searches back; then Ray goes, and nothing is left."""
        for pid in self._drivers.stop(STOP_SECONDS):
            log.error("driver %d did not stop, it was killed", pid)
        self._reap(STOP_SECONDS)
        try:
            for search_id in self._claims.release():
                self._sweeping.later(search_id)
            self._presence.leave()
        except SQLAlchemyError as error:
            log.error("searches were not given back, their leases will expire: %s", error)
        self._runtime.stop()
        try:
            self._sweeping.end()
        except SQLAlchemyError as error:
            log.error("files were left behind: %s", error)
        self._announcer.stop()
        self._drivers.close()
        self._sessions.engine.dispose()

    @contextlib.contextmanager
    def _woken_by_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop it, and end its waiting at once."""
        receiver, sender = socket.socketpair()
        with receiver, sender:
            for end in (receiver, sender):
                end.setblocking(False)
            signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
            self._drivers.wake_by(receiver)

            def stop(number: int, frame: FrameType | None) -> None:
                self.stop()

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            try:
                yield
            finally:
                signal.set_wakeup_fd(-1)


def dispatch(settings: ServiceSettings) -> None:
    """Run queued searches until SIGTERM or SIGINT; in the main thread."""
    configure_logs(settings.log_level, settings.log_format)
    # Searches keep their workers as long as they run: without room for all of them, the later ones
    # would wait for the end of the earlier ones. The kernel shares the cores among them.
    cpus = (os.cpu_count() or 1) * settings.max_running_searches
    own_home(settings.home)
    dispatcher = Dispatcher(settings, RayRuntime(settings, cpus))
    log.info("dispatching for %s", settings.home)
    dispatcher.run()
