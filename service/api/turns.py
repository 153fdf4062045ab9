"""Work that keeps a core busy for as long as a stranger's body has it: one after the other, so that
who asks for something small has one neighbour at most of each kind. Waiting takes no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

T = TypeVar("T")


class Turns:
    """Those of one kind of work, first come, first served."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(1)

    async def take(self, work: Callable[..., T], *given: object) -> T:
        """`work(*given)` in a thread, when it is its turn."""
        return await to_thread.run_sync(work, *given, limiter=self._limiter)


class Dear:
    """Each kind has turns of its own: who only tries holds up nobody who submits."""

    def __init__(self) -> None:
        self.parsing, self.trying, self.submitting = Turns(), Turns(), Turns()


def dear(request: Request) -> Dear:
    found: Dear = request.app.state.dear
    return found
