"""Warm drivers in reserve, because a fresh one takes seconds to import what a search needs: one,
and one more for each that is frozen and for each search that waits and has a place.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from service.backoff import Backoff
from service.running.dispatching.claims import Claims
from service.running.dispatching.drivers import Drivers
from service.running.driver_process import DriverProcess

log = logging.getLogger(__name__)

WARM_UP_SECONDS = 180.0
CALM_SECONDS = 4.0
"""A search that has just begun needs the cores more than the next spare driver does."""
STARTING_AT_A_TIME = os.cpu_count() or 1
"""More would only keep each other from getting ready."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Spares:
    """`obstacle`: why there is none, where one did not start."""

    def __init__(self, drivers: Drivers, claims: Claims, log_file: Path) -> None:
        self._drivers, self._claims, self._log_file = drivers, claims, log_file
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._next = 0.0
        self.obstacle: str | None = None

    def keep(self, environment: Mapping[str, str], frozen: int, forks: Path | None = None) -> None:
        """Start one where too few wait for a search. `frozen`: drivers that stand still, and will
        be ended: their searches are to find successors that are ready. `forks`: their origin.
        """
        idle = [driver for driver in self._drivers if driver.claim is None]
        starting = sum(not driver.is_ready for driver in idle)
        if starting >= STARTING_AT_A_TIME or time.monotonic() < self._next:
            return
        is_calm = self._claims.seconds_since_last >= CALM_SECONDS
        if len(idle) < frozen + is_calm or self._claims.have_room(len(idle) - frozen):
            self._drivers.add(DriverProcess(environment, self._log_file, forks))

    def check(self) -> None:
        """End those that do not get ready."""
        for driver in self._drivers:
            if driver.is_ready:
                self.obstacle = None
            elif time.monotonic() - driver.started > WARM_UP_SECONDS:
                log.error("driver %d did not get ready, killing it", driver.pid)
                driver.kill()

    def lost(self, driver: DriverProcess) -> None:
        """One has ended while it waited."""
        if driver.is_ready:
            self._backoff.reset()
        else:
            self.obstacle = f"a driver: the last one did not start (code {driver.end})"
        pause = self._backoff.pause()
        self._next = time.monotonic() + pause
        log.error(
            "a spare driver ended with code %d, see %s; the next in %.0f s",
            driver.end,
            self._log_file,
            pause,
        )
