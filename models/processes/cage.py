"""What a process has that works on what comes from strangers: limits that the kernel holds, and
nothing of our environment.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path


def environment(folder: Path) -> Mapping[str, str]:
    """Of a child that finds our packages, and has `folder` for its files."""
    return {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or os.getcwd(),
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def restrict(memory_bytes: int, cpu_seconds: int, output_bytes: int) -> None:
    """Hold this process to limits, beyond what it has and has used by now; `output_bytes`: of a
    file that it writes.
    """
    wanted = {
        resource.RLIMIT_CPU: _used_seconds() + cpu_seconds,
        resource.RLIMIT_FSIZE: output_bytes,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(FileNotFoundError):  # Linux alone
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory_bytes
    for kind, value in wanted.items():
        _limit(kind, value)


def allow(cpu_seconds: int) -> None:
    """So much time of a processor from now on."""
    _limit(resource.RLIMIT_CPU, _used_seconds() + cpu_seconds)


def _used_seconds() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return math.ceil(used.ru_utime + used.ru_stime)


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(kind, (value, most))
