"""What a search knows of earlier ones on other data: how their candidates ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from search.trial import Candidate


@dataclass(frozen=True, slots=True)
class Recollection:
    """A result of an earlier search: a point of the space of the search that remembers it.

    The keys are its identity here. `place`: among all results there, in 0..1, of which the best has
    the largest; equal results share theirs.
    """

    candidate: Candidate
    architecture_key: str
    recipe_key: str
    place: float

    def to_json(self) -> dict[str, Any]:
        return {
            **self.candidate.to_json(),
            "architecture_key": self.architecture_key,
            "recipe_key": self.recipe_key,
            "place": self.place,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            Candidate.from_json(document),
            document["architecture_key"],
            document["recipe_key"],
            document["place"],
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier search. `results`: how many it had; `recollections`: those of them that are
    remembered, each candidate once, best first.
    """

    search: str
    dataset: str
    dataset_fingerprint: str
    results: int
    recollections: tuple[Recollection, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "search": self.search,
            "dataset": self.dataset,
            "dataset_fingerprint": self.dataset_fingerprint,
            "results": self.results,
            "recollections": [found.to_json() for found in self.recollections],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            document["search"],
            document["dataset"],
            document["dataset_fingerprint"],
            document["results"],
            tuple(Recollection.from_json(found) for found in document["recollections"]),
        )


Memory = Sequence[Remembered]
"""Of one search; written down with it, so that it goes on and is replayed by the same."""
