"""What a request left open, filled in once: what is stored no longer depends on defaults."""

from __future__ import annotations

from search.problems import problem
from search.request.read import Draft
from search.request.source import Source
from search.spec import SearchSpec


def defaults(draft: Draft[SearchSpec], source: Source | None) -> Draft[SearchSpec]:
    """`source`: None where the dataset is refused. What cannot be left open is refused here."""
    if source is not None:
        draft = source.defaults(draft)
    if draft.has("space") and draft.spec.space is None:
        draft = draft.refused(problem("is required", "space"), "space")
    if source is not None and not draft.problems and not draft.spec.name:
        draft = draft.filled(name=source.name(draft.spec))
    return draft
