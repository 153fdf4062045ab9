"""Children that answer questions, each a fork of one process that has imported what they need: a
fork takes a hundredth of a second, where a child of its own takes seconds of a core for its
imports. See `models.processes.forking` for the other side.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Self

from models.processes.cage import environment
from models.processes.children import child_command
from models.processes.conversation import Conversation
from models.processes.folders import OwnedFolder


class Fork:
    """One of them, as far as `Conversation` needs it: like a `subprocess.Popen`."""

    def __init__(self, talk: socket.socket, ended: socket.socket) -> None:
        self._talk, self._ended = talk, ended
        self.stdin = talk.makefile("w", encoding="utf-8")
        self.stdout = talk.makefile("r", encoding="utf-8")
        self.returncode: int | None = None

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # it has ended
            self._ended.shutdown(socket.SHUT_WR)

    def wait(self) -> int:
        """Until it has ended; of one whose parent ended with it, the code is 1."""
        if self.returncode is None:
            with self._ended, self._talk:
                told = self._ended.recv(16)
            self.returncode = int(told) if told else 1
        return self.returncode

    def poll(self) -> int | None:
        return self.returncode


class Forks:
    """Of one module, which has `prepare()` and `answer(question)`. For any thread.

    niceness: of their process, from its first import on: who waits for an answer comes before.
    idle_seconds: without a fork, after which their process ends until the next one is asked for.
    ended: none may begin any more.
    """

    def __init__(self, module: str, niceness: int = 10, idle_seconds: float = 300.0) -> None:
        self.ended = False
        self._arguments = (module, str(niceness))
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._origin: _Origin | None = None
        self._running, self._since = 0, 0.0
        self._look: threading.Timer | None = None
        # A child ends with the thread that has started it, and those that ask come and go.
        self._starter = ThreadPoolExecutor(1, "forks")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @contextlib.contextmanager
    def one(self, folder: Path) -> Iterator[Conversation]:
        """A fork for the length of the block; `folder`: where it works, and writes its errors."""
        with self._lock:
            self._running += 1
        try:
            errors = folder / "stderr.txt"
            with Conversation(self._fork(folder, errors), errors) as conversation:
                yield conversation
        finally:
            with self._lock:
                self._running -= 1
                self._since = monotonic()
                self._look_later()

    def end(self) -> None:
        """With all forks: whoever asks one of them is answered by `EndedError`."""
        with self._lock:
            self.ended = True
            if self._look is not None:
                self._look.cancel()
            self._end_origin()
        self._starter.shutdown(wait=False)

    def _fork(self, folder: Path, errors: Path) -> Fork:
        with self._lock:
            if self._origin is None or self._origin.has_ended:
                self._end_origin()
                self._origin = None if self.ended else self._started()
            return _ordered(self._origin, folder, errors)

    def _started(self) -> _Origin:
        return self._starter.submit(_Origin, *self._arguments).result()

    def _end_origin(self) -> None:
        if self._origin is not None:
            self._origin.end()
            self._origin = None

    def _look_later(self) -> None:
        """See whether nobody has asked for a fork when that may be so."""
        if self._look is None and not self._running and not self.ended:
            left = self._since + self._idle_seconds - monotonic()
            self._look = threading.Timer(max(left, 0.0), self._end_idle)
            self._look.daemon = True
            self._look.start()

    def _end_idle(self) -> None:
        with self._lock:
            self._look = None
            if self._running or self._since + self._idle_seconds > monotonic():
                self._look_later()
            else:
                self._end_origin()


class _Origin:
    """The process that they come from, and a folder for what its libraries write."""

    def __init__(self, module: str, niceness: str) -> None:
        self._home = OwnedFolder("forks")
        self._orders, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
        with theirs:
            descriptor = str(theirs.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our module
                child_command("models.processes.forking", module, niceness, descriptor),
                stdin=subprocess.DEVNULL,
                env=dict(environment(self._home.path)),
                cwd=self._home.path,
                pass_fds=[theirs.fileno()],
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def order(self, folder: Path, streams: list[int]) -> None:
        with contextlib.suppress(ConnectionError):  # it has ended, and the fork with it
            socket.send_fds(self._orders, [os.fsencode(folder)], streams)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._home.remove()


def _ordered(origin: _Origin | None, folder: Path, errors: Path) -> Fork:
    """Of no origin, one that has ended."""
    (talk, theirs), (ended, told) = socket.socketpair(), socket.socketpair()
    with theirs, told, errors.open("w") as file:
        if origin is not None:
            origin.order(folder, [theirs.fileno(), file.fileno(), told.fileno()])
    return Fork(talk, ended)
