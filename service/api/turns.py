"""Work that keeps a core busy for as long as a stranger's body has it, or a child of ours busy: few
at a time, so that who asks for something small has few neighbours of each kind. Waiting takes no
thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import Request

from models.asking import MODELS_AT_A_TIME

T = TypeVar("T")


class NoTurnError(RuntimeError):
    """Others had their turn for as long as this one waited."""


class Turns:
    """Those of one kind of work, first come, first served.

    most: at a time; patience_seconds: that one waits for its turn.
    """

    def __init__(self, most: int = 1, patience_seconds: float | None = None) -> None:
        self._most, self._patience_seconds = most, patience_seconds
        self._limiter = CapacityLimiter(most)

    async def take(self, work: Callable[..., T], *given: object) -> T:
        """`work(*given)` in a thread of its own, when it is its turn.

        Raises:
            NoTurnError: see there.
        """
        who = object()
        try:
            with fail_after(self._patience_seconds):
                await self._limiter.acquire_on_behalf_of(who)
        except TimeoutError:
            raise NoTurnError(f"{self._most} at a time; try again") from None
        try:
            return await to_thread.run_sync(work, *given, limiter=CapacityLimiter(1))
        finally:
            self._limiter.release_on_behalf_of(who)


class Dear:
    """Each kind has turns of its own: who only tries holds up nobody who submits."""

    def __init__(self) -> None:
        self.parsing, self.trying, self.submitting = Turns(), Turns(), Turns()
        self.asking = Turns(MODELS_AT_A_TIME, 30.0)
        self.converting = Turns(1, 60.0)


def dear(request: Request) -> Dear:
    found: Dear = request.app.state.dear
    return found
