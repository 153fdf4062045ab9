"""The drivers of a dispatcher: those that run a search, and those that wait for one."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

from service.running.driver_process import DriverProcess
from service.running.exits import Exit


class Drivers:
    def __init__(self) -> None:
        self._drivers: list[DriverProcess] = []
        self._selector = selectors.DefaultSelector()

    def __iter__(self) -> Iterator[DriverProcess]:
        return iter(tuple(self._drivers))

    @property
    def busy(self) -> int:
        """How many have a search."""
        return sum(driver.claim is not None for driver in self._drivers)

    def add(self, driver: DriverProcess) -> None:
        self._drivers.append(driver)
        self._selector.register(driver.output, selectors.EVENT_READ, driver)

    def wake_by(self, receiver: socket.socket) -> None:
        """`listen` returns when something arrives here, too."""
        self._selector.register(receiver, selectors.EVENT_READ)

    def listen(self, seconds: float) -> None:
        """Wait until one of them, or a signal, says something, but not longer than `seconds`."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, DriverProcess):
                if not key.data.listen():
                    key.data.wait(1.0)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(4096)

    def ended(self, wait_seconds: float = 0.0) -> Iterator[DriverProcess]:
        """Those that have ended, or do within `wait_seconds` each; they are not ours any more."""
        for driver in self:
            if wait_seconds:
                driver.wait(wait_seconds)
            if driver.code is not None:
                self._drivers.remove(driver)
                self._selector.unregister(driver.output)
                driver.close()
                yield driver

    def kill(self, code: Exit) -> None:
        for driver in self:
            driver.kill(code)

    def stop(self, seconds: float) -> list[int]:
        """Ask all to give their searches back; the numbers of those that had to be killed."""
        for driver in self:
            driver.terminate()
        end, killed = time.monotonic() + seconds, []
        for driver in self:
            if not driver.wait(max(0.0, end - time.monotonic())):
                driver.kill(Exit.NO_RAY)
                killed.append(driver.pid)
        return killed

    def close(self) -> None:
        self._selector.close()
