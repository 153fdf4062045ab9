"""Text that every database and every answer can hold. NUL has no place in PostgreSQL, half of a
surrogate pair none in UTF-8; NumPy, Parquet and the messages of exceptions may hold both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FLAWS = re.compile("[\0\ud800-\udfff]")


def flaw(text: str) -> str | None:
    """Why it cannot be held, as the end of a sentence; None: it can."""
    found = _FLAWS.search(text)
    if found is None:
        return None
    return "holds a NUL character" if found[0] == "\0" else "holds half of a surrogate pair"


def flaws(document: object, *path: object) -> Iterator[tuple[tuple[object, ...], str]]:
    """Where a JSON document holds such a text, and why; a key counts where it stands."""
    if isinstance(document, str):
        if (found := flaw(document)) is not None:
            yield path, found
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from flaws(key, *path)
            yield from flaws(value, *path, key)
    elif isinstance(document, list | tuple):
        for index, value in enumerate(document):
            yield from flaws(value, *path, index)


def mended(document: object) -> object:
    """The same document with U+FFFD for what cannot be held."""
    if isinstance(document, str):
        return _FLAWS.sub("\N{REPLACEMENT CHARACTER}", document)
    if isinstance(document, dict):
        return {mended(key): mended(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [mended(value) for value in document]
    return document
