"""An earlier search as one that remembers it sees it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class RememberedSearch(BaseModel):
    """An earlier search on other data that a search remembers."""

    search: str = Field(description="its id; it may be gone")
    dataset: str
    dataset_fingerprint: str
    results: int = Field(description="that it had", ge=0)
    recollections: int = Field(
        description="of those, that are remembered: points of this search's space", ge=0
    )


class RecollectionRead(BaseModel):
    architecture: dict[str, Any]
    recipe: dict[str, Any] = Field(description="of this search, the nearest to that of the earlier")
    architecture_key: str = Field(description="that of a trial of it here")
    recipe_key: str = Field(description="likewise")
    place: float = Field(
        description="among all results of the earlier search; the best is nearest to 1", gt=0, lt=1
    )


class MemoryReport(RememberedSearch):
    """What an earlier search on other data was good for."""

    tried: int = Field(description="of the recollections, that have a result here", ge=0)
    spearman: float | None = Field(
        description="rank correlation of their places there with their results here; null: fewer "
        "than three, or all equal"
    )
    best_place: float | None = Field(
        description="where the best of this search stood there; null: it is not remembered"
    )


class RememberedRead(BaseModel):
    """An earlier search with all that is remembered of it, the best first."""

    search: str = Field(description="its id; it may be gone")
    dataset: str
    dataset_fingerprint: str
    results: int = Field(description="that it had", ge=0)
    recollections: list[RecollectionRead]


class MemoryRead(BaseModel):
    items: list[RememberedRead] = Field(description="empty where the search remembers nothing")
