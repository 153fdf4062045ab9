"""While the database is away, nobody is blamed; when it is back, owners come first."""

from __future__ import annotations

import logging
import math
import time

from sqlalchemy.exc import SQLAlchemyError

from service.running.dispatching.drivers import Drivers

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""After an outage of the database, owners get this long to extend their leases."""


class Outages:
    def __init__(self, drivers: Drivers, lease_seconds: float) -> None:
        self._drivers, self._lease_seconds = drivers, lease_seconds
        self._quiet_until = -math.inf
        self._since = 0.0

    @property
    def are_over(self) -> bool:
        return time.monotonic() >= self._quiet_until

    def note(self, error: SQLAlchemyError) -> None:
        now = time.monotonic()
        if self.are_over:
            log.warning("the database is away: %s", error)
            self._since = now
        self._quiet_until = now + QUIET_SECONDS
        if now - self._since >= self._lease_seconds:
            for driver in self._drivers:
                if driver.is_frozen:  # it may hold the lock that everybody waits for
                    log.error("driver %d is frozen, killing it", driver.pid)
                    driver.kill()
