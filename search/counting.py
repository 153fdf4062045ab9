"""How many points a conditional space has, without listing them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from models.architecture import AllBut, Allowed, Decision
from models.domains import Domain, Scalar

OTHERWISE = object()
"""A value that no condition names."""


def count_assignments(decisions: Sequence[Decision]) -> int | float:
    """The number of assignments of the active decisions, exact however large; infinite where a
    continuous range can be active. Each decision comes after those that it depends on.

    Independent groups of decisions multiply. Within a group the first decision is split into the
    classes of its values that no condition tells apart, so that the work grows with the number of
    conditions and not with the number of values.
    """
    return _count(decisions, {})


def assignment_at(decisions: Sequence[Decision], index: int) -> dict[str, Scalar]:
    """Point `index` of all, in a fixed order and without listing those before it: the independent
    groups of decisions are its digits.

    Raises:
        IndexError: there are not so many points.
        ValueError: a range is continuous.
    """
    values, left = _point(decisions, index, {})
    if left:
        raise IndexError(f"no point {index} of {count_assignments(decisions)}")
    return values


def _point(
    decisions: Sequence[Decision], index: int, given: Mapping[str, object]
) -> tuple[dict[str, Scalar], int]:
    """The point and what is left of the index, in units of the number of points."""
    values: dict[str, Scalar] = {}
    for first, *rest in _groups(decisions):
        index, place = divmod(index, int(_count([first, *rest], given)))
        if not first.is_active(given):
            values |= _point(rest, place, given)[0]
        elif not rest:
            values[first.name] = first.domain.values()[place]
        else:
            for value in first.domain.values():
                inner = {**given, first.name: value}
                count = int(_count(rest, inner))
                if place < count:
                    break
                place -= count
            values |= {first.name: value, **_point(rest, place, inner)[0]}
    return values, index


def _count(decisions: Sequence[Decision], values: Mapping[str, object]) -> int | float:
    total: int | float = 1
    for first, *rest in _groups(decisions):
        if not first.is_active(values):
            count = _count(rest, values)
        elif not rest:
            count = first.domain.size
        else:
            count = sum(
                _product(size, _count(rest, {**values, first.name: value}))
                for value, size in _classes(first, rest)
            )
        total = _product(total, count)
    return total


def _product(first: int | float, second: int | float) -> int | float:
    """`first * second` of counts: integers may be too large for the product with an infinity."""
    return math.inf if math.inf in (first, second) else first * second


def _groups(decisions: Sequence[Decision]) -> Iterator[list[Decision]]:
    """The decisions that depend on each other, group by group, each in its order."""
    groups: list[list[Decision]] = []
    for decision in decisions:
        parents = {name for name, _ in decision.when}
        linked = [g for g in groups if any(member.name in parents for member in g)]
        groups = [g for g in groups if not any(g is other for other in linked)]
        groups.append([*(member for g in linked for member in g), decision])
    yield from groups


def _classes(decision: Decision, later: Sequence[Decision]) -> Iterator[tuple[object, int | float]]:
    """A value of each class that the conditions of `later` tell apart, and the class's size."""
    conditions = [
        allowed for other in later for name, allowed in other.when if name == decision.name
    ]
    named = {
        value
        for allowed in conditions
        for value in (allowed.excluded if isinstance(allowed, AllBut) else allowed)
        if _contains(decision.domain, value)
    }
    sizes: dict[tuple[bool, ...], tuple[object, int]] = {}
    for value in named:
        signature = tuple(value in allowed for allowed in conditions)
        representative, size = sizes.get(signature, (value, 0))
        sizes[signature] = (representative, size + 1)
    yield from sizes.values()
    if decision.domain.size > len(named):
        yield OTHERWISE, decision.domain.size - len(named)


def can_hold(domain: Domain, allowed: Allowed) -> bool:
    """Whether a domain has one of the allowed values."""
    if isinstance(allowed, AllBut):
        return domain.size > sum(_contains(domain, value) for value in allowed.excluded)
    return any(_contains(domain, value) for value in allowed)


def _contains(domain: Domain, value: Scalar) -> bool:
    try:
        domain.parse(value)
    except ValueError:
        return False
    return True
