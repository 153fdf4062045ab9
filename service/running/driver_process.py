"""A driver as the dispatcher sees it: a child that warms up, gets one claim, and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO

import psutil

from models.processes.children import child_command
from models.processes.oom import oom_kills
from service.log_files import open_log
from service.running.driver_fork import MODULE, DriverFork
from service.running.exits import Exit
from service.sql.lease import Claim


class DriverProcess:
    """Started on construction. `claim` is the search that it was given, None before.

    Built in the main thread: a child ends with the thread that started it.

    forks: where they are to be had, see `RayRuntime.forks`; else it imports by itself.
    """

    def __init__(
        self, environment: Mapping[str, str], log: Path, forks: Path | None = None
    ) -> None:
        self.claim: Claim | None = None
        self.is_ready = False
        self.has_settled = False  # its claim no longer holds
        self.killed_for: int | None = None
        self.started, self._oom_kills = time.monotonic(), oom_kills()
        with open_log(log) as file:
            self._process = _start({**os.environ, **environment}, file.fileno(), forks)

    @property
    def pid(self) -> int:
        """0 of a fork that is not there yet."""
        return self._process.pid

    @property
    def output(self) -> IO[bytes]:
        """Becomes readable when the driver is ready, and at its end."""
        assert self._process.stdout is not None  # noqa: S101 - made with a pipe
        return self._process.stdout

    @property
    def is_spare(self) -> bool:
        return self.is_ready and self.claim is None

    @property
    def code(self) -> int | None:
        """The exit code once it has ended."""
        return self._process.poll()

    @property
    def end(self) -> int:
        """Why it has ended: the reason for which it was killed, else its exit code."""
        assert self.code is not None  # noqa: S101 - asked after its end
        if self.killed_for is not None:
            return self.killed_for
        if self.code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return Exit.NO_MEMORY
        return self.code

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped by a signal, and has not been continued."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        except psutil.NoSuchProcess:
            return False

    def listen(self) -> bool:
        """Read what it says after `output` became readable; False at its end."""
        said = os.read(self.output.fileno(), 4096)
        self.is_ready = self.is_ready or bool(said)
        return bool(said)

    def hand_over(self, claim: Claim) -> None:
        """
        Raises:
            OSError: the driver has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - made with a pipe
        self.claim = claim
        self._process.stdin.write(json.dumps(asdict(claim)).encode() + b"\n")
        self._process.stdin.flush()

    def terminate(self) -> None:
        """Ask it to give its search back and end."""
        self._process.terminate()

    def kill(self, code: int | None = None) -> None:
        """`code`: the `Exit` that says why, where it is not the driver's own doing."""
        self.killed_for = code
        self._process.kill()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """After its end: reap it and close its pipes."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        if isinstance(self._process, DriverFork):
            self._process.close()


def _start(
    environment: Mapping[str, str], errors: int, forks: Path | None
) -> subprocess.Popen[bytes] | DriverFork:
    if forks is not None:
        return DriverFork(forks, environment, errors)
    return subprocess.Popen(  # noqa: S603 - our interpreter, our module
        child_command(MODULE),
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # a Ctrl-C in the terminal is for the dispatcher
    )
