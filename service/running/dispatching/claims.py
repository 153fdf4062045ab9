"""Searches go to drivers that wait for one, and back into the queue when their driver ends."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from models.processes.names import is_gone
from service.running.dispatching.drivers import Drivers
from service.running.exits import Exit, cause_of, is_blamed
from service.sql.lease import Claim
from service.sql.queue import Queue

log = logging.getLogger(__name__)


class Claims:
    """`most`: searches at a time. `most_crashes`: of drivers in a row, blamed on the search."""

    def __init__(
        self, queue: Queue, owner: str, drivers: Drivers, *, most: int, most_crashes: int
    ) -> None:
        self._queue, self._owner, self._drivers = queue, owner, drivers
        self._most, self._most_crashes = most, most_crashes
        self._left: list[tuple[Claim, int]] = []
        self._last = -math.inf

    @property
    def is_full(self) -> bool:
        return self._drivers.busy >= self._most

    @property
    def seconds_since_last(self) -> float:
        """Since a search was given to a driver."""
        return time.monotonic() - self._last

    def have_room(self, spares: int) -> bool:
        """Whether more searches than `spares` are up for a claim, and have a place."""
        places = self._most - self._drivers.busy
        return places > spares and self._queue.has_waiting(more_than=spares)

    def take(self) -> None:
        """Give searches to drivers that wait for one."""
        spares = [driver for driver in self._drivers if driver.is_spare]
        while spares and not self.is_full:
            claim = self._queue.claim(self._owner)
            if claim is None:
                return
            driver = spares.pop()
            log.info("driver %d gets %s", driver.pid, claim)
            try:
                driver.hand_over(claim)
            except OSError:  # it ended while it waited: not the search's fault
                self._left.append((claim, Exit.NO_RAY))
                driver.claim = None
            self._last = time.monotonic()

    def leave(self, claim: Claim, code: int) -> None:
        """The driver of this claim has ended."""
        if code != Exit.DONE:
            log.error("%s was interrupted: %s", claim, cause_of(code))
        self._left.append((claim, code))

    def give_back(self) -> Iterator[str]:
        """Release what ended drivers may still hold; the searches."""
        while self._left:
            claim, code = self._left[0]
            self._queue.interrupt(
                claim, cause_of(code), blamed=is_blamed(code), limit=self._most_crashes
            )
            self._left.pop(0)
            yield claim.search_id

    def release(self) -> Iterator[str]:
        """Give back what is left, in an orderly end: nothing was interrupted."""
        while self._left:
            claim, _ = self._left[0]
            self._queue.release(claim)
            self._left.pop(0)
            yield claim.search_id

    def go_on(self) -> None:
        """There is space: queue those again that waited for it."""
        for search_id in self._queue.go_on("waiting for space"):
            log.info("%s goes on, there is space again", search_id)

    def check(self) -> None:
        """Take over from owners that are gone, and end drivers whose claim no longer holds."""
        for search_id in self._queue.release_owners(is_gone):
            log.info("taking over %s from a dispatcher that is gone", search_id)
        held = self._queue.held_by(self._owner)
        for driver in self._drivers:
            if driver.claim is not None and driver.claim not in held:
                if driver.has_settled:
                    log.error("driver %d outlives %s, killing it", driver.pid, driver.claim)
                    driver.kill(Exit.LOST)
                driver.has_settled = True  # it gets until the next check to end by itself
