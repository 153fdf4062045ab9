"""Zips of strangers: what may be wrong with one, and what is in it."""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from pathlib import Path

BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,  # a compression or a version that Python has not
    RuntimeError,  # a password
    EOFError,
    KeyError,
    OSError,  # a place before the start of the file
    OverflowError,
    struct.error,
    zlib.error,
)
"""What reading a damaged archive may raise."""


def names_in(path: Path) -> set[str]:
    """The names of a zip's entries; none where it is no zip."""
    with contextlib.suppress(*BROKEN, ValueError), zipfile.ZipFile(path) as archive:
        return set(archive.namelist())
    return set()
