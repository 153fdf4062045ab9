"""Names of processes: who owns what, and whether the owner is still there."""

from __future__ import annotations

import socket
import sys
from functools import cache
from pathlib import Path

import psutil


def process_name(pid: int | None = None) -> str:
    """A name that no other process ever has: machine, process, and when it started."""
    process = psutil.Process(pid)
    return f"{_machine()}/{process.pid}/{process.create_time():.2f}"


def is_gone(name: str) -> bool:
    """Whether the process of that `process_name` ran on this machine and has ended.

    Of another machine's processes nothing is known: False.
    """
    try:
        machine, pid, started = name.rsplit("/", 2)
    except ValueError:
        return False
    if machine != _machine():
        return False
    try:
        process = psutil.Process(int(pid))
        # A clock that was set moves the start of every process a little.
        if abs(process.create_time() - float(started)) > 1.0:
            return True
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@cache
def _machine() -> str:
    """Host, boot and process namespace: two containers may share a host's name."""
    if sys.platform != "linux":
        return f"{socket.gethostname()[:100]}:{psutil.boot_time():.0f}"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    return f"{socket.gethostname()[:100]}:{boot}:{namespace}"
