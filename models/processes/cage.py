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


def restrict(memory_bytes: int, cpu_seconds: int | None, output_bytes: int) -> None:
    """Hold this process to limits, beyond what it has and has used by now; `output_bytes`: of a
    file that it writes. One without `cpu_seconds` is held to what `allow` gives it.
    """
    wanted = {resource.RLIMIT_FSIZE: (output_bytes,) * 2, resource.RLIMIT_CORE: (0, 0)}
    if cpu_seconds is not None:
        whole = _used_seconds() + cpu_seconds
        wanted[resource.RLIMIT_CPU] = (whole, whole + 1)  # SIGXCPU, which says why, then SIGKILL
    with contextlib.suppress(FileNotFoundError):  # Linux alone
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted[resource.RLIMIT_AS] = (pages * resource.getpagesize() + memory_bytes,) * 2
    for kind, (soft, hard) in wanted.items():
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def allow(cpu_seconds: int) -> None:
    """So much time of a processor from now on, then SIGXCPU; whatever was allowed before."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    whole = _used_seconds() + cpu_seconds
    if most != resource.RLIM_INFINITY:
        whole = min(whole, most)
    resource.setrlimit(resource.RLIMIT_CPU, (whole, most))


def _used_seconds() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return math.ceil(used.ru_utime + used.ru_stime)
