"""There is a Ray runtime, or a reason why not; a lost head gets a successor."""

from __future__ import annotations

import logging
import time

from service.backoff import Backoff
from service.running.ray_runtime import RayRuntime

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class RayKeeper:
    """`obstacle`: why there is none."""

    def __init__(self, runtime: RayRuntime) -> None:
        self._runtime = runtime
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._next = 0.0
        self.obstacle: str | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to look; while there is none, that is seldom."""
        return time.monotonic() >= self._next

    def is_there(self) -> bool:
        """Whether drivers can join."""
        return self._runtime.is_alive()

    def start(self) -> bool:
        """Whether one is there afterwards."""
        try:
            self._runtime.start()
        except RuntimeError as error:
            return self._wait(str(error))
        if not self._runtime.is_alive():
            return self._wait(self._starting())
        log.info("Ray is at %s", self._runtime.address)
        return self.found()

    def found(self) -> bool:
        self._backoff.reset()
        self.obstacle = None
        return True

    def lost(self) -> str:
        """There is none; the obstacle until one is found."""
        self.obstacle = self.obstacle or f"Ray: {self._starting()}"
        return self.obstacle

    def _starting(self) -> str:
        address = self._runtime.cluster
        return f"no answer from the Ray cluster {address}" if address else "it is starting"

    def _wait(self, problem: str) -> bool:
        pause = self._backoff.pause()
        self._next = time.monotonic() + pause
        log.error("%s; trying again in %.0f s", problem, pause)
        self.obstacle = f"Ray: {problem}"
        return False
