"""One task that looks after the searches that clients wait for.

However many clients wait, the database is asked once an interval, from one thread; a waiting
client costs neither a thread nor a connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.sql.database import Sessions
from service.sql.events import StoredEvent, events_after
from service.sql.searches import SearchStatus, statuses
from service.sql.states import ENDED

INTERVAL_SECONDS = 0.05
_OUTAGE_SECONDS = 1.0
_PAGE = 200
_TAIL = 1000

log = structlog.get_logger("nasmith.watcher")


@dataclass(eq=False, slots=True)
class _Watch:
    """What is known of one search. `tail` holds the events after `tail_start`, for followers."""

    waiting: int = 0
    followers: int = 0
    status: SearchStatus | None = None
    is_gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tail: deque[StoredEvent] = field(default_factory=deque)
    tail_start: int | None = None

    @property
    def tail_end(self) -> int:
        return self.tail[-1].sequence if self.tail else self.tail_start or 0

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Watcher:
    def __init__(self, sessions: Sessions, interval: float = INTERVAL_SECONDS) -> None:
        self._sessions, self._interval = sessions, interval
        self._watches: dict[str, _Watch] = {}
        self._wanted = asyncio.Event()
        self._is_closing = False

    async def run(self) -> None:
        """Watch until cancelled; an outage of the database delays everybody and ends nothing."""
        is_away = False
        while True:
            await self._wanted.wait()
            try:
                await self._look()
                is_away = False
            except SQLAlchemyError as error:
                if not is_away:
                    log.warning("the database is away", error=str(error).splitlines()[0])
                is_away = True
            await asyncio.sleep(_OUTAGE_SECONDS if is_away else self._interval)

    def close(self) -> None:
        """Send everybody home: the server stops."""
        self._is_closing = True
        for watch in self._watches.values():
            watch.notify()

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    async def change(self, search_id: str, revision: int, seconds: float) -> None:
        """Return when the search has a newer revision than `revision`, is deleted, or `seconds` are
        over.
        """
        with suppress(TimeoutError), self._watch(search_id) as watch:
            async with asyncio.timeout(seconds):
                while not (
                    self._is_closing
                    or watch.is_gone
                    or (watch.status is not None and watch.status.revision > revision)
                ):
                    await watch.changed.wait()

    async def follow(self, search_id: str, after: int) -> AsyncIterator[StoredEvent]:
        """The events numbered above `after`, then each new one as it is committed; ends with the
        last event of an ended search.
        """
        with self._watch(search_id, follows=True) as watch:
            while not self._is_closing:
                changed = watch.changed
                if watch.tail_start is not None and after >= watch.tail_start:
                    page = [event for event in watch.tail if event.sequence > after]
                else:
                    page = await self._page(search_id, after)
                for event in page:
                    yield event
                    after = event.sequence
                status = watch.status
                if watch.is_gone or (
                    status is not None and status.state in ENDED and after >= status.event_sequence
                ):
                    return
                if not page:
                    await changed.wait()

    async def _page(self, search_id: str, after: int) -> list[StoredEvent]:
        while not self._is_closing:
            with suppress(SQLAlchemyError):
                return await asyncio.to_thread(self._read_events, {search_id: after})
            await asyncio.sleep(_OUTAGE_SECONDS)
        return []

    @contextmanager
    def _watch(self, search_id: str, *, follows: bool = False) -> Iterator[_Watch]:
        watch = self._watches.setdefault(search_id, _Watch())
        watch.waiting += 1
        watch.followers += follows
        self._wanted.set()
        try:
            yield watch
        finally:
            watch.waiting -= 1
            watch.followers -= follows
            if not watch.followers:
                watch.tail.clear()
                watch.tail_start = None
            if not watch.waiting:
                self._watches.pop(search_id, None)
            if not self._watches:
                self._wanted.clear()

    async def _look(self) -> None:
        asked = list(self._watches)
        found = await asyncio.to_thread(self._read_statuses, asked)
        behind = {
            search_id: watch.tail_end
            for search_id, watch in self._watches.items()
            if search_id in found
            and watch.tail_start is not None
            and watch.tail_end < found[search_id].event_sequence
        }
        fresh = await asyncio.to_thread(self._read_events, behind) if behind else []
        for event in fresh:
            watch = self._watches.get(event.search_id)
            if watch is not None and watch.tail_start is not None:
                watch.tail.append(event)
        for search_id in asked:
            watch = self._watches.get(search_id)
            if watch is not None:
                self._update(watch, found.get(search_id), search_id in behind)

    def _update(self, watch: _Watch, status: SearchStatus | None, has_events: bool) -> None:
        while len(watch.tail) > _TAIL:
            watch.tail_start = watch.tail.popleft().sequence
        if status is None:
            watch.is_gone = True
        elif watch.followers and watch.tail_start is None:
            watch.tail_start = status.event_sequence
        if has_events or status != watch.status or watch.is_gone:
            watch.status = status
            watch.notify()

    def _read_statuses(self, search_ids: list[str]) -> dict[str, SearchStatus]:
        with self._sessions.read() as session:
            return statuses(session, search_ids)

    def _read_events(self, after: dict[str, int]) -> list[StoredEvent]:
        with self._sessions.read() as session:
            return [
                event
                for search_id, sequence in after.items()
                for event in events_after(session, search_id, sequence, _PAGE)
            ]
