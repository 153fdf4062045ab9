"""Which file is read when: small ones beside large ones, and none waits in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

SMALL_BYTES = 8 * 1024 * 1024
AT_A_TIME = 2
"""In each of the two lanes."""

SLOW_SECONDS = 10.0
"""After which a small file gives its place in the lane to the next one, if the other lane has
room: its size did not say what it takes.
"""


class Lanes:
    """Of one event loop."""

    def __init__(self) -> None:
        self._small, self._slow = asyncio.Semaphore(AT_A_TIME), asyncio.Semaphore(AT_A_TIME)
        self._readers = ThreadPoolExecutor(2 * AT_A_TIME, thread_name_prefix="reads-uploads")

    async def run(self, size_bytes: int, read: Callable[[], T]) -> T:
        """What `read` gives, when it is its turn."""
        lane = self._small if size_bytes <= SMALL_BYTES else self._slow
        await lane.acquire()
        try:
            reading = asyncio.get_running_loop().run_in_executor(self._readers, read)
            if lane is self._small:
                await asyncio.wait({reading}, timeout=SLOW_SECONDS)
                if not reading.done() and not self._slow.locked():
                    await self._slow.acquire()
                    lane.release()
                    lane = self._slow
            return await reading
        finally:
            lane.release()

    def close(self) -> None:
        """What has not begun is dropped."""
        self._readers.shutdown(wait=False, cancel_futures=True)
