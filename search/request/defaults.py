"""What a request left open, filled in once: what is stored no longer depends on defaults."""

from __future__ import annotations

from search.request.read import Draft
from search.request.source import Source
from search.spec import SearchSpec, as_said

LEARNED_FROM = 2_000
"""Trials that asks of bananas were measured up to."""


def defaults(draft: Draft[SearchSpec], source: Source | None) -> Draft[SearchSpec]:
    """`source`: None where the dataset is refused."""
    spec = draft.spec
    if draft.has("strategy") and spec.strategy is None:
        draft = draft.filled(strategy=as_said("strategy", {"name": default_strategy(spec)}))
    if draft.has("space") and isinstance(spec.space, tuple) and len(spec.space) == 1:
        draft = draft.filled(space=spec.space[0])
    if source is not None:
        draft = source.defaults(draft)
    if draft.has("strategy", "budget"):
        spec = draft.spec
        draft = draft.filled(strategy=spec.strategy.for_budget(spec.budget.trials))
    if source is not None and not draft.problems and not draft.spec.name:
        draft = draft.filled(name=source.name(draft.spec))
    return draft


def default_strategy(spec: SearchSpec) -> str:
    """What our measurements favour (README, `benchmarks/strategies.py` and `searches.py`): bananas
    needs the fewest trials, on tables and where networks are trained, and optimises one objective.
    An ask of it takes 0.05 s after 2,000 trials; beyond, it learns from a few of them alone.
    """
    if len(spec.objectives) > 1:
        return "nsga2"
    return "bananas" if spec.budget.trials <= LEARNED_FROM else "regularized_evolution"
