"""A machine that holds still while a network is measured.

Two locks, files that the kernel unlocks when their process ends, however it ends. The *room* is
shared by all who work; who measures has it alone. The *door* is closed by who measures; whoever
works looks at it every few steps, and steps out of the room while it is closed. So measuring waits
for a step, not for an epoch, and work waits for a measurement.

Nobody waits forever: a process that was stopped in the room is measured beside, and one that was
stopped behind the door is passed. Workers of one user on one machine, of whatever search, share
the locks: they lie in the folder for temporary files and stay there, empty.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import torch

from models.processes.folders import WorkFolder

T = TypeVar("T")

LOOK_SECONDS = 0.02
"""Between two looks at the door."""
STEP_SECONDS = 1.0
"""What measuring waits for, at most, until all others have ended their step."""
TURN_SECONDS = 30.0
"""What measuring waits for, at most, while others measure."""
PATIENCE_SECONDS = 5.0
"""What work waits for, at most, at a closed door. It then goes on until it has seen it open."""
_POLL_SECONDS = 0.004

log = logging.getLogger(__name__)


class _Thread(threading.local):
    """What a thread of this process is doing."""

    def __init__(self) -> None:
        self.work: _Work | None = None
        self.is_impatient = False
        self.waited_seconds = 0.0


_here = _Thread()


def at_work(reports: Generator[T]) -> Iterator[T]:
    """The same items, each worked out in the room; between them this thread is out of it."""
    try:
        while True:
            with _working():
                report = next(reports, None)
            if report is None:
                return
            yield report
    finally:
        reports.close()


def give_way() -> None:
    """Called between the steps of any long work: lets others measure. It costs a microsecond at
    most looks; outside of `at_work` it does nothing.
    """
    if _here.work is not None:
        _here.work.look()


@contextmanager
def alone() -> Iterator[bool]:
    """Others that work on this machine hold still. False: one of them does not, or cannot be
    asked.
    """
    work, began = _here.work, monotonic()
    if work is not None:
        work.leave()
    try:
        with _locks() as (door, room):
            is_alone = door.take(fcntl.LOCK_EX, TURN_SECONDS) and room.take(
                fcntl.LOCK_EX, STEP_SECONDS
            )
            if not is_alone:
                log.info("this is measured beside other work")
            _here.waited_seconds += monotonic() - began
            yield is_alone
    finally:
        if work is not None:
            work.enter()


def waited_seconds() -> float:
    """How long this thread has waited for others so far: to measure, or while they did."""
    return _here.waited_seconds


class _Lock:
    """A lock of one thread; `flock` tells apart who has opened the file, not who runs."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)

    def take(self, how: int, seconds: float) -> bool:
        """Shared or alone; False where that takes longer than `seconds`. The longer it takes, the
        rarer it is tried: each try may disturb who measures.
        """
        began = monotonic()
        while True:
            try:
                fcntl.flock(self._file, how | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                waited = monotonic() - began
                if waited >= seconds:
                    return False
                sleep(min(max(waited / 2, _POLL_SECONDS), seconds - waited))

    def leave(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


class _NoLock(_Lock):
    """Where there can be no file. Nobody is asked, so nobody is alone."""

    def __init__(self) -> None: ...

    def take(self, how: int, seconds: float) -> bool:
        return how == fcntl.LOCK_SH

    def leave(self) -> None: ...

    def close(self) -> None: ...


class _Work:
    """A thread in the room."""

    def __init__(self, door: _Lock, room: _Lock) -> None:
        self._door, self._room = door, room
        self._next_look = 0.0
        self.enter()

    def enter(self) -> None:
        """Through the door, so that nobody comes in while somebody measures."""
        is_open = self._door.take(fcntl.LOCK_SH, 0)
        if not is_open and not _here.is_impatient:
            began = monotonic()
            is_open = self._door.take(fcntl.LOCK_SH, PATIENCE_SECONDS)
            _here.waited_seconds += monotonic() - began
        _here.is_impatient = not is_open
        self._room.take(fcntl.LOCK_SH, 0)
        if is_open:
            self._door.leave()
        self._next_look = monotonic() + LOOK_SECONDS

    def look(self) -> None:
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        if self._door.take(fcntl.LOCK_SH, 0):
            self._door.leave()
            if _here.is_impatient:
                self.enter()
        elif not _here.is_impatient:
            self.leave()
            self.enter()

    def leave(self) -> None:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
            torch.cuda.synchronize()  # what was begun there is work too
        self._room.leave()


@contextmanager
def _working() -> Iterator[None]:
    """Puts the thread into the room."""
    if _here.work is not None:  # a trial within a trial, as in a test, is one
        yield
        return
    with _locks() as (door, room):
        _here.work = _Work(door, room)
        try:
            yield
        finally:
            _here.work = None


@contextmanager
def _locks() -> Iterator[tuple[_Lock, _Lock]]:
    """Door and room, opened; closing them is leaving them."""
    stem = WorkFolder.outside() / f"nasmith-{os.getuid()}-quiet"
    door, room = (_opened(stem.with_suffix(suffix)) for suffix in (".door", ".room"))
    try:
        yield door, room
    finally:
        door.close()
        room.close()


def _opened(path: Path) -> _Lock:
    try:
        return _Lock(path)
    except OSError as error:  # no temporary folder, or somebody else's file
        log.warning("latency is measured beside other work: %s", error)
        return _NoLock()
