"""The journal of a search whose results are looked up: many events are one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence

from search.engine.journal import Event, TrialEnded, TrialStarted
from service.sql.journal import SqlJournal

BATCH_SECONDS, BATCH_EVENTS = 0.25, 600


class BatchedJournal:
    """A journal for results that cost nothing to have again, as those of a table.

    Events wait up to `seconds` and are written together, in their order, at the end of a trial.
    What is lost with the process is a tail of the search: its strategy proposes the same again,
    and the table answers the same.
    """

    def __init__(
        self, journal: SqlJournal, seconds: float = BATCH_SECONDS, events: int = BATCH_EVENTS
    ) -> None:
        self._journal, self._seconds, self._events = journal, seconds, events
        self._waiting: list[Event] = []
        self._written = time.monotonic()

    def append(self, event: Event) -> None:
        self._waiting.append(event)
        if isinstance(event, TrialEnded) and (
            len(self._waiting) >= self._events or time.monotonic() - self._written > self._seconds
        ):
            self.flush()

    def history(self) -> Sequence[TrialStarted | TrialEnded]:
        self.flush()
        return self._journal.history()

    def full_history(self) -> Sequence[Event]:
        self.flush()
        return self._journal.full_history()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._journal.append_all(self._waiting)
        self._waiting, self._written = [], time.monotonic()
