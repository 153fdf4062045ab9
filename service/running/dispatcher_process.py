"""The dispatcher as a child of `nasmith serve`: started again when it dies, ended with its parent,
as if it had got SIGTERM, so that nothing is left behind.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time

from models.processes.children import child_command
from models.processes.trees import end_tree
from service.backoff import Backoff
from service.settings import ServiceSettings, environment

_log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_HEALTHY_SECONDS = 60.0  # a child that lived this long is started again at once
STOP_SECONDS = 6.5


class EmbeddedDispatcher:
    """Keeps one dispatcher process alive between `start` and `stop`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = threading.Event()
        self._asked_at = 0.0
        self._supervisor = threading.Thread(target=self._supervise, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._process = self._spawn()
        self._supervisor.start()

    def ask_to_stop(self) -> None:
        """Begin the stop without waiting; safe in a signal handler, also in one inside another."""
        if self._asked_at:
            return
        self._asked_at = time.monotonic()
        self._is_stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop the child and everything it started; by force `seconds` after it was first asked."""
        self.ask_to_stop()
        if self._supervisor.ident is not None:
            self._supervisor.join()
        with self._lock:
            process = self._process
        if process is not None:
            end_tree(process, max(0.5, self._asked_at + seconds - time.monotonic()))

    def _supervise(self) -> None:
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while not self._is_stopping.is_set():
            process, started = self._process, time.monotonic()
            while process is not None and process.poll() is None:
                if self._is_stopping.wait(0.2):
                    return
            if self._is_stopping.is_set() or process is None:
                return
            lived = time.monotonic() - started
            if lived > _HEALTHY_SECONDS:
                backoff.reset()
            wait = backoff.pause()
            _log.error(
                "the dispatcher ended with code %s after %.0f s; starting it again in %.1f s",
                process.returncode,
                lived,
                wait,
            )
            if self._is_stopping.wait(wait):
                return
            with self._lock:
                self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        """A session of its own: Ctrl-C in the terminal reaches the server alone."""
        return subprocess.Popen(  # noqa: S603 - our interpreter, our module
            child_command("service.running.dispatcher_process", at_end=signal.SIGTERM),
            env={**os.environ, **environment(self._settings)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def main() -> None:
    """The child process."""
    from service.running.dispatcher import dispatch

    dispatch(ServiceSettings())


if __name__ == "__main__":
    main()
