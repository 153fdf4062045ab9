"""Memory that is left to a process: by the machine, by the control groups around it, by a limit of
its own.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

GROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

RESERVE_SHARE = 0.08
"""Of all memory, kept free: Ray begins to end workers when 5 % are left."""

LEAST_BYTES = 512 * 2**20
"""That a process may grow by however little is left: its threads need some of it."""


@dataclass(frozen=True, slots=True)
class Room:
    """`total`: of the machine, or what the tightest control group allows. `free`: what nobody uses
    of it, files that the system keeps at hand counted as free.
    """

    total: int
    free: int


def room() -> Room:
    """As it is now."""
    machine = psutil.virtual_memory()
    rooms = [Room(int(machine.total), int(machine.available)), *_groups()]
    return Room(min(r.total for r in rooms), min(r.free for r in rooms))


def growth_bytes() -> int:
    """By how much a trial here may grow: what is free without what others use, and a reserve."""
    now = room()
    return max(LEAST_BYTES, now.free - int(RESERVE_SHARE * now.total))


def limit_growth(growth: int) -> None:
    """Let this process hold so much more than it does now: what wants more gets a `MemoryError`.
    On Linux, where it can tell; memory that is shared, or of files, is not counted.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, ValueError):  # a sandbox may refuse
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = _status_bytes("VmData") + growth
        most = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(psutil.Process().memory_info().rss)


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _groups() -> Iterator[Room]:
    """The control groups around this process that limit memory, of version 2 and of version 1."""
    with suppress(OSError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                names = ("memory.max", "memory.current", "inactive_file")
                yield from _around(GROUPS, path, names)
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _around(GROUPS / "memory", path, names)


def _around(base: Path, path: str, names: tuple[str, str, str]) -> Iterator[Room]:
    """A group and those above it. In a container the outer ones may not be seen: the first that is
    seen stands for them.
    """
    limit_file, usage_file, idle = names
    group = base / path.lstrip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):  # no such folder, no limit in it, or the word "max"
            limit = int((folder / limit_file).read_text())
            used = int((folder / usage_file).read_text())
            stat = (folder / "memory.stat").read_text().splitlines()
            cached = next((int(s.split()[1]) for s in stat if s.startswith(f"{idle} ")), 0)
            yield Room(limit, max(0, limit - (used - cached)))
        if folder == base:
            return
