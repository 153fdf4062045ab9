"""Whether the kernel ends processes for want of memory."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many processes of this machine it has ended so since it started, those of control groups
    included; 0 where it does not say (Linux before 4.13, other systems).
    """
    try:
        lines = COUNTERS.read_text().splitlines()
    except OSError:
        return 0
    counts = (line.split() for line in lines)
    return next((int(count) for name, count in counts if name == "oom_kill"), 0)
