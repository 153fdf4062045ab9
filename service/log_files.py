"""Files that processes write what they say to: none grows without an end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

MAX_BYTES = 16 * 1024 * 1024
KEPT = 3
"""Older ones, as `NAME.1` (the newest) to `NAME.3`."""


def open_log(path: Path) -> IO[bytes]:
    """To append to, for a process that is about to start; a full one makes room first. Who writes
    to it already goes on in the file that it has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_BYTES:
        for number in range(KEPT, 0, -1):
            older = path if number == 1 else _numbered(path, number - 1)
            if older.exists():
                os.replace(older, _numbered(path, number))
    return path.open("ab")


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
