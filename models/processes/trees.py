"""The one way to end a child with all that descends from it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable

import psutil

_KILLED_SECONDS = 2.0
_LOOK_SECONDS = 0.02


def end_tree(process: subprocess.Popen[bytes], seconds: float) -> None:
    """SIGTERM to a child, and after its end, or `seconds`, SIGKILL to all that is left: it and its
    descendants, those too that have lost their parent, if the child was started in a session of
    its own. The child is reaped and its pipes are closed.

    A process is told by its number and its start, so a number that was given away again is safe.
    """
    members = _members(process)
    process.terminate()
    end = time.monotonic() + seconds
    while _runs(process) and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    members |= _members(process)
    process.kill()
    process.wait()
    kill_all(members)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def kill_all(members: Iterable[psutil.Process]) -> None:
    """SIGKILL, and wait until they are gone."""
    members = list(members)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(members, _KILLED_SECONDS)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has not ended yet; does not reap it."""
    if process.returncode is not None:
        return False
    try:
        return bool(psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _members(process: subprocess.Popen[bytes]) -> set[psutil.Process]:
    """Everything below the child now."""
    members: set[psutil.Process] = set()
    if process.returncode is not None and psutil.pid_exists(process.pid):
        return members  # reaped, and its number is another's: so its session is empty
    with contextlib.suppress(psutil.NoSuchProcess):
        members.update(psutil.Process(process.pid).children(recursive=True))
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if pid != process.pid and os.getsid(pid) == process.pid:
                members.add(psutil.Process(pid))
    return members
