"""How drivers end, and what that says to the clients of their searches."""

from __future__ import annotations

import signal
from enum import IntEnum


class Exit(IntEnum):
    """The exit code of a driver. Any other one is a crash."""

    DONE = 0  # the search is settled in the database: ended, paused or given back
    LOST = 3  # another owner has the search
    OUTAGE = 4  # the database stayed away
    STALLED = 5  # the engine made no turn of its loop
    NO_RAY = 6  # the Ray runtime is lost


_CAUSES = {
    Exit.DONE: "its driver ended and left it unfinished",
    Exit.LOST: "its driver lost the lease",
    Exit.OUTAGE: "the database stayed away",
    Exit.STALLED: "its engine stood still",
    Exit.NO_RAY: "the Ray runtime was lost",
}


def cause_of(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"its driver was ended by {signal.Signals(-code).name}"
    try:
        return _CAUSES[Exit(code)]
    except ValueError:
        return f"its driver ended with code {code}"


def is_blamed(code: int) -> bool:
    """Whether an unfinished search may itself be the reason for its driver's end."""
    return code not in (Exit.LOST, Exit.OUTAGE, Exit.NO_RAY)
