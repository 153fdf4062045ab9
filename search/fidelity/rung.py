"""The trials that have been trained for so many epochs, best first."""

from __future__ import annotations

from bisect import bisect_left, insort


class Rung:
    """Trials by their value after the same epoch. Equal values go by number, so that the order does
    not depend on timing.
    """

    def __init__(self) -> None:
        self._keys: dict[int, tuple[float, int]] = {}
        self._order: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """Trials that have reached it, whatever became of them."""
        return len(self._order)

    @property
    def best_waiting(self) -> int | None:
        """The best of the paused ones."""
        return self._waiting[0][1] if self._waiting else None

    @property
    def worst_waiting(self) -> int | None:
        return self._waiting[-1][1] if self._waiting else None

    def add(self, number: int, value: float) -> None:
        key = self._keys[number] = (-value, number)
        insort(self._order, key)

    def rank(self, number: int) -> int:
        """How many are better; from 0."""
        return bisect_left(self._order, self._keys[number])

    def value(self, number: int) -> float:
        return -self._keys[number][0]

    def nth(self, rank: int) -> float:
        """The value at a rank."""
        return -self._order[rank][0]

    def pause(self, number: int) -> None:
        insort(self._waiting, self._keys[number])

    def leave(self, number: int) -> None:
        """A trial is no longer paused here."""
        self._waiting.remove(self._keys[number])
