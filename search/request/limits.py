"""Limits on what is known of a network before it is trained, and that hardly any network meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.family import InfeasibleError
from search.objectives import Constraint
from search.problems import SpecProblem, problem
from search.space import SearchSpace
from search.spec import SearchSpec
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate

DRAWN, TRIED = 32, 96
"""Networks at random, and with those that the nearest of each family are changed to, one decision
each, the families in turn.
"""

Cost = Callable[[Candidate], Mapping[str, float]]


def unmet_limits(spec: SearchSpec, space: SearchSpace, cost: Cost) -> Iterator[SpecProblem]:
    """Those that none of the networks meets that are looked at, and so likely no trial would;
    unless the request says that it is meant.
    """
    for index, limit in enumerate(spec.constraints):
        if spec.force or limit not in spec.cost_limits:
            continue
        if (nearest := _nearest(space, limit, cost)) is not None:
            message = (
                f"of up to {TRIED} networks tried no one meets it, the nearest does not as "
                f'{limit.violation(nearest)}; "force": true searches all the same'
            )
            yield problem(message, "constraints", index)


def _nearest(space: SearchSpace, limit: Constraint, cost: Cost) -> Mapping[str, float] | None:
    """What the network costs that breaks the limit least; None where one meets it."""
    rng = rng_for(0, SearchPurpose.EXAMPLE, 0)
    seen: set[str] = set()
    nearest: dict[str, tuple[Candidate, Mapping[str, float]]] = {}
    for number in range(8 * TRIED):
        if not nearest or number < DRAWN:
            candidate = space.sample(rng)
        else:
            candidate = space.mutate(list(nearest.values())[number % len(nearest)][0], rng)
        family, key = candidate.architecture.family, candidate.architecture.key
        if key in seen or len(seen) == TRIED:
            continue
        seen.add(key)
        try:
            metrics = cost(candidate)
        except InfeasibleError:
            continue
        if limit.violation(metrics) is None:
            return None
        if family not in nearest or limit.excess(metrics) <= limit.excess(nearest[family][1]):
            nearest[family] = candidate, metrics
    return min((found for _, found in nearest.values()), key=limit.excess, default=None)
