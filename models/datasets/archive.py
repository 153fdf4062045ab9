"""Zips of strangers: what may be wrong with one, and what is in it."""

from __future__ import annotations

import contextlib
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

from models.remarks import Remark

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


_IS_UTF8 = 0x800
"""The bit of an entry which says that its name is UTF-8."""


def with_plain_names(archive: zipfile.ZipFile) -> list[Remark]:
    """Give every entry the name that a person sees, in NFC and with slashes between folders, which
    older programs of Windows write as back slashes. Names that are UTF-8 without a word of it, as
    macOS writes them, are read as such; others that say nothing as those of DOS.
    """
    told: dict[str, list[str]] = {"UTF-8": [], "cp437": []}
    for member in archive.infolist():
        name = member.filename
        if not name.isascii() and not member.flag_bits & _IS_UTF8:
            encoding = "UTF-8"
            try:
                name = name.encode("cp437").decode("utf-8")
            except UnicodeError:
                encoding = "cp437"
            told[encoding].append(name)
        member.filename = unicodedata.normalize("NFC", name.replace("\\", "/"))
    return [
        Remark(
            "encoding_guessed",
            f"{len(names)} names in the zip do not say how they are written and are read as "
            f"{encoding}, the first as {names[0]!r}",
            names[0],
            len(names),
        )
        for encoding, names in told.items()
        if names
    ]
