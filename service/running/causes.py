"""Why a search cannot go on, in one line that its client can read."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

CALLERS = ("service.running", "search.engine", "search.request")
"""Whose code calls that of strategies, fidelity rules and stages."""

LENGTH = 1000


def cause(error: Exception, log: Path) -> str:
    """The error, the line that it comes from, and the file that has the rest."""
    place = f" ({_place(error.__traceback__)}; the rest is in {log.parent.name}/{log.name})"
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text[: LENGTH - len(place)] + place


def _place(raised: TracebackType | None) -> str:
    """The deepest line of what was called, as a strategy; not of a library that it calls itself."""
    lines = [
        (frame.f_globals.get("__name__", "?"), line) for frame, line in traceback.walk_tb(raised)
    ]
    called = len(lines)
    while called and not lines[called - 1][0].startswith(CALLERS):
        called -= 1
    owner = lines[called][0] if called < len(lines) else lines[-1][0]
    line = max(index for index, (module, _) in enumerate(lines) if module == owner)
    return f"{owner.replace('.', '/')}.py, line {lines[line][1]}"
