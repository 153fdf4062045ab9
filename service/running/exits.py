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
    FROZEN = 7  # stopped by a signal for as long as a lease; it was killed
    NO_MEMORY = 8  # killed, while the kernel ended processes for want of memory


_CAUSES = {
    Exit.DONE: "its driver ended and left it unfinished",
    Exit.LOST: "its driver lost the lease",
    Exit.OUTAGE: "the database stayed away",
    Exit.STALLED: "its engine stood still",
    Exit.NO_RAY: "the Ray runtime was lost",
    Exit.FROZEN: "its driver was stopped by a signal and did not go on",
    Exit.NO_MEMORY: "its driver was killed when the machine had no memory left",
}

_FROM_OUTSIDE = (Exit.LOST, Exit.OUTAGE, Exit.NO_RAY, Exit.FROZEN)

_OF_CRASHES = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)
"""What a process gets for what it does itself. Any other signal somebody else has sent."""


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
    return -code in _OF_CRASHES if code < 0 else code not in _FROM_OUTSIDE
