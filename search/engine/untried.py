"""What a small space holds that no trial has had, for when the strategy asks for nothing new."""

from __future__ import annotations

from search.counting import assignment_at, stride_over
from search.engine.archive import Archive
from search.space import SearchSpace
from search.trial import Candidate

ENUMERATION = "enumeration"
"""The `origin` of such a trial."""

MOST_POINTS = 50_000
"""Of a space that is gone through to its end; it takes a tenth of a millisecond each."""


class Untried:
    """The points of the space in a fixed order that spreads over the whole of it. One that was
    tried stays tried, so that the next untried one never lies before the last.
    """

    def __init__(self, space: SearchSpace, archive: Archive) -> None:
        self._space, self._archive = space, archive
        self._size = int(space.size) if space.size <= MOST_POINTS else 0
        self._stride = stride_over(self._size) if self._size else 1
        self._index = 0

    def first(self) -> Candidate | None:
        """None where all have been tried, or the space is too large to tell."""
        while self._index < self._size:
            point = self._index * self._stride % self._size
            candidate = self._space.candidate(assignment_at(self._space.decisions, point))
            if self._archive.first(*self._space.keys(candidate)) is None:
                return candidate
            self._index += 1
        return None
