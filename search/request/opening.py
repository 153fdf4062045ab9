"""What a search tries before its strategy is asked: the architectures of the request, then what a
person would try first, then what zero-cost scores promise.

A known network is a preset, or the point of the space that is nearest to it, by the middle of the
recipe. They take a quarter of the budget at most, the simple ones first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from models.family import InfeasibleError
from models.presets import Preset, presets
from search.engine.suggestions import Suggestion, Suggestions
from search.objectives import violation
from search.request.resolve import Resolved
from search.request.screening import Screening
from search.trial import Candidate
from search.weight_sharing.one_shot import OneShotSettings

OF_REQUEST = "request"
"""The origin of what a person suggested."""

SHARE = 4
"""One of so many trials of the budget is a known network, at most."""

ALIKE = 0.5
"""The least share of a preset's decisions that its neighbour has as they are."""


def opening(resolved: Resolved, screening: Screening | None) -> Suggestions:
    """`screening`: of the same search, where it has one."""

    def found() -> Sequence[Suggestion]:
        first = [*asked(resolved), *known_networks(resolved)]
        return [*first, *(screening.suggestions() if screening else ())]

    return found


def asked(resolved: Resolved) -> Iterator[Suggestion]:
    """The architectures of the request, in its order."""
    for suggested in resolved.spec.suggestions:
        yield Suggestion(resolved.space.known(suggested.architecture()), OF_REQUEST)


def known_networks(resolved: Resolved) -> list[Suggestion]:
    """Distinct ones that can be trained and keep the limits on the cost: points of the space as
    they are, then neighbours, each from the smallest on, by the magnitude of their work and then by
    their weights: a table of n-grams is large, and is looked into at one place. None where nothing
    is trained, or nothing but supernets and what they derive.
    """
    spec, source = resolved.spec, resolved.source
    if spec.opening != "known" or not source.trains or isinstance(spec.strategy, OneShotSettings):
        return []
    found: dict[tuple[str, str], tuple[bool, int, float, Suggestion]] = {}
    for known in _for_the_task(resolved):
        candidate, alike = _nearest(resolved, known)
        if alike < ALIKE:
            continue
        try:
            cost = resolved.cost(candidate)
        except InfeasibleError:
            continue
        if violation(cost, spec.cost_limits) is None:
            suggestion = Suggestion(candidate, f"preset:{known.name}")
            rank = (alike < 1, _magnitude(cost["flops"]), cost["parameters"], suggestion)
            found.setdefault(resolved.space.keys(candidate), rank)
    ranked = sorted(found.values(), key=lambda entry: entry[:3])
    return [suggestion for *_, suggestion in ranked[: spec.budget.trials // SHARE]]


def _magnitude(flops: float) -> int:
    return round(math.log10(max(flops, 1)))


def _for_the_task(resolved: Resolved) -> list[Preset]:
    """Presets of the families of the space: of each those that were published for a task of this
    form, or all where there are none.
    """
    task = resolved.dataset.task
    of_families = [p for p in presets().values() if p.architecture.family in resolved.spec.families]
    meant = [p for p in of_families if task is not None and p.published.get("task") == task.form]
    served = {known.architecture.family for known in meant}
    return meant + [p for p in of_families if p.architecture.family not in served]


def _nearest(resolved: Resolved, known: Preset) -> tuple[Candidate, float]:
    """The point of the space, and the share of the preset's decisions that it has as they are."""
    candidate = resolved.space.nearest(known.likeness, known.recipe)
    found = candidate.architecture.decisions
    same = [found.get(name) == value for name, value in known.architecture.decisions.items()]
    return candidate, sum(same) / len(same)
