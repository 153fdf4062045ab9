"""How long to wait before the next attempt."""

from __future__ import annotations


class Backoff:
    """Pauses in seconds, each twice the last, up to the longest."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def pause(self) -> float:
        """Of the next attempt."""
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause

    def reset(self) -> None:
        """It went well: the next pause is the first again."""
        self._next = self._first
