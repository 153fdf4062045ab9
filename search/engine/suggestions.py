"""What a search tries before it asks its strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.trial import Candidate


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A candidate that the strategy did not ask for. It becomes an ordinary trial, which the
    strategy is told; `origin` is kept with the trial and says where it comes from.
    """

    candidate: Candidate
    origin: str


Suggestions = Callable[[], Sequence[Suggestion]]
"""Called at most once, and only while the strategy has not been asked: it may take seconds.

The same in every process, so that a search goes on with it after a crash, and a replay proves it.
"""


def no_suggestions() -> Sequence[Suggestion]:
    return ()
