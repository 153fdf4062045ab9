"""While the database is away, nobody is blamed; when it is back, owners come first."""

from __future__ import annotations

import logging
import math
import time

from sqlalchemy.exc import SQLAlchemyError

from service.running.dispatching.frozen import Frozen

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""After an outage of the database, owners get this long to extend their leases."""


class Outages:
    def __init__(self, frozen: Frozen) -> None:
        self._frozen = frozen
        self._quiet_until = -math.inf

    @property
    def are_over(self) -> bool:
        return time.monotonic() >= self._quiet_until

    def note(self, error: SQLAlchemyError) -> None:
        if self.are_over:
            log.warning("the database is away: %s", error)
        self._quiet_until = time.monotonic() + QUIET_SECONDS
        self._frozen.end()
