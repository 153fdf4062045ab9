"""How long a trial may say nothing before its worker counts as frozen."""

from __future__ import annotations

SILENT_SECONDS = 60.0
"""Without a sign of life, after which the clients of a search hear of it. A report of an epoch is
one.
"""

STARTING_SECONDS = 180.0
"""A worker that has not begun so long after it was made is frozen; from a cold disk one takes a
minute.
"""

EPOCHS, LEAST_SECONDS = 10, 120.0
"""A worker is frozen after so many times the trial's slowest epoch, and at least so long."""

LEAST_BEFORE_FIRST_SECONDS = 600.0
"""Of a trial without an epoch yet, which the slowest of the search stands for: it may be a much
larger network than those before.
"""

UNKNOWN_SECONDS = 3600.0
"""While no epoch of the search has ended."""


class Patience:
    """`timeout_seconds`: of the request; None: what epochs have taken so far decides."""

    def __init__(self, timeout_seconds: float | None) -> None:
        self._timeout_seconds = timeout_seconds
        self._slowest: dict[int, float] = {}  # by trial, of those that run
        self._slowest_of_all: float | None = None

    def took(self, number: int, seconds: float) -> None:
        """An epoch of a trial took so long."""
        self._slowest[number] = max(seconds, self._slowest.get(number, 0.0))
        self._slowest_of_all = max(seconds, self._slowest_of_all or 0.0)

    def limit(self, number: int) -> float:
        """Seconds without a report, after which the trial is tried again elsewhere."""
        if self._timeout_seconds is not None:
            return self._timeout_seconds
        if number in self._slowest:
            return max(LEAST_SECONDS, EPOCHS * self._slowest[number])
        if self._slowest_of_all is None:
            return UNKNOWN_SECONDS
        return max(LEAST_BEFORE_FIRST_SECONDS, EPOCHS * self._slowest_of_all)

    def forget(self, number: int) -> None:
        """The trial has ended."""
        self._slowest.pop(number, None)
