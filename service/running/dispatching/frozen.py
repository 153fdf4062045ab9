"""Drivers that a signal has stopped can let go neither of their search nor of a lock: they end."""

from __future__ import annotations

import logging
import time

from service.running.dispatching.drivers import Drivers
from service.running.driver_process import DriverProcess
from service.running.exits import Exit

log = logging.getLogger(__name__)


class Frozen:
    """`lease_seconds`: so long a driver may stand still; its search has no owner then."""

    def __init__(self, drivers: Drivers, lease_seconds: float) -> None:
        self._drivers, self._lease_seconds = drivers, lease_seconds
        self._since: dict[int, float] = {}

    @property
    def busy(self) -> int:
        """How many of them have a search, as of the last check."""
        return sum(d.pid in self._since for d in self._drivers if d.claim is not None)

    def check(self) -> None:
        """End those that have stood still for too long."""
        now = time.monotonic()
        frozen = {driver.pid: driver for driver in self._drivers if driver.is_frozen}
        self._since = {pid: self._since.get(pid, now) for pid in frozen}
        for pid, since in self._since.items():
            if now - since >= self._lease_seconds:
                _end(frozen[pid])

    def end(self) -> None:
        """End all of them: the database does not answer, and one may hold what it waits for."""
        for driver in self._drivers:
            if driver.is_frozen:
                _end(driver)


def _end(driver: DriverProcess) -> None:
    log.error("driver %d is frozen, killing it", driver.pid)
    driver.kill(Exit.FROZEN)
