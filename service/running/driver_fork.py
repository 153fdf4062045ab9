"""A driver that comes from the Ray head's `worker_forks`, which has imported most of what one
needs: two seconds of a core until it is ready, where a process of its own takes six.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from service.running.exits import Exit

MODULE = "service.running.driver"


class DriverFork:
    """As far as `DriverProcess` needs it: like a `subprocess.Popen` with pipes. It is no child of
    this process: `worker_forks` says its number, then its end, and ends with Ray, and it with that.
    """

    def __init__(self, forks: Path, environment: Mapping[str, str], errors: int) -> None:
        self.returncode: int | None = None
        self._pid, self._handle, self._said = 0, -1, b""
        self._life, told = socket.socketpair()
        reading, stdin = os.pipe()
        stdout, writing = os.pipe()
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb", 0)
        try:
            _order(forks, environment, [reading, writing, errors, told.fileno()])
        except OSError:  # there are no forks any more
            self.returncode = Exit.NO_RAY
        finally:
            told.close()
            os.close(reading)
            os.close(writing)

    @property
    def pid(self) -> int:
        """0 until the fork is made."""
        self.poll()
        return self._pid

    def poll(self) -> int | None:
        """The exit code once it has ended."""
        while self.returncode is None and select.select([self._life], [], [], 0)[0]:
            self._hear()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._life], [], [], left)[0]:
                raise subprocess.TimeoutExpired(MODULE, timeout or 0.0)
            self._hear()
        return self.returncode

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """After its end."""
        self._life.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is not None:
            return
        if self._handle < 0:  # `worker_forks` is not there yet, and finds that nobody wants it
            self._end(-number)
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            signal.pidfd_send_signal(self._handle, number)

    def _hear(self) -> None:
        """What is said next; waits for it."""
        said = self._life.recv(64)
        self._said += said
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            if self._pid:
                self._end(int(line))
            else:
                self._pid = int(line)
                with contextlib.suppress(ProcessLookupError):
                    self._handle = os.pidfd_open(self._pid)
        if not said and self.returncode is None:
            self._end(Exit.NO_RAY)

    def _end(self, code: int) -> None:
        self.returncode = code
        self._life.close()


def _order(forks: Path, environment: Mapping[str, str], streams: list[int]) -> None:
    order = {"arguments": [MODULE], "environment": dict(environment), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(forks))
        socket.send_fds(connection, [b"\n"], streams)
        connection.sendall(json.dumps(order).encode())
