"""Files that nobody needs any more go, when the workers that may still write are gone."""

from __future__ import annotations

import time

from models.processes.folders import sweep
from service.store.leftovers import Leftovers

SETTLE_SECONDS = 3.0
"""Until the workers of a driver that has ended are gone."""


class Sweeping:
    def __init__(self, leftovers: Leftovers) -> None:
        self._leftovers = leftovers
        self._due: list[tuple[float, str]] = []  # when, and which search
        self._is_all_due = False

    def later(self, search_id: str) -> None:
        """The driver of this search has ended."""
        self._due.append((time.monotonic() + SETTLE_SECONDS, search_id))

    def turn(self) -> None:
        """What is due now."""
        if self._is_all_due and not self._remove_all():
            return
        while self._due and self._due[0][0] <= time.monotonic():
            if not self._leftovers.remove(self._due[0][1]):
                return
            self._due.pop(0)
            sweep()

    def all(self) -> None:
        """Of searches that ended while nobody looked; the temporary folders of all that ended."""
        self._remove_all()
        sweep()

    def end(self) -> None:
        """What is due later: the workers are gone."""
        for _, search_id in self._due:
            self._leftovers.remove(search_id)
        sweep()

    def _remove_all(self) -> bool:
        self._is_all_due = not self._leftovers.remove_all()
        return not self._is_all_due
