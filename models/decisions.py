"""What families have in common: from a request's fields to decisions, and from the values of
decisions to what a network is built of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.domains import Choice, Range, Scalar, as_domain
from models.family import InfeasibleError
from models.task import Task

Values = Mapping[str, Scalar]


def domain_values(domain: int | Choice | Range) -> tuple[int, ...]:
    """Every integer that a request allows."""
    return tuple(int(value) for value in as_domain(domain).values())


def condition(
    name: str, domain: Scalar | Choice | Range, allowed: Collection[Scalar]
) -> tuple[tuple[str, tuple[Scalar, ...]], ...]:
    """The `when` of a decision that needs `name` to be among `allowed`; always active where the
    domain has no other value.
    """
    return () if set(as_domain(domain).values()) <= set(allowed) else ((name, tuple(allowed)),)


def integer(values: Values, name: str, low: int = 1) -> int:
    """
    Raises:
        InfeasibleError: no such decision, or not an integer from `low` on.
    """
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        kind = "a positive integer" if low == 1 else f"an integer of at least {low}"
        raise InfeasibleError(name, f"{name} must be {kind}, got {value!r}")
    return value


def share(values: Values, name: str) -> float:
    """
    Raises:
        InfeasibleError: no such decision, or not a number in 0..1, without 1.
    """
    value = values.get(name)
    if isinstance(value, bool | str) or value is None or not 0 <= value < 1:
        raise InfeasibleError(name, f"{name} must be a number in 0..1, without 1, got {value!r}")
    return float(value)


def flag(values: Values, name: str) -> bool:
    """
    Raises:
        InfeasibleError: no such decision, or neither true nor false.
    """
    value = values.get(name)
    if not isinstance(value, bool):
        raise InfeasibleError(name, f"{name} must be true or false, got {value!r}")
    return value


def relative_targets(values: Values, task: Task) -> tuple[int, ...] | None:
    """The columns that are forecast, where the forecast is relative to their last values.

    Raises:
        InfeasibleError: neither true nor false, or there are no such columns.
    """
    if "relative" not in values or not flag(values, "relative"):
        return None
    if task.targets is None:
        raise InfeasibleError(
            "relative",
            "relative is for forecasts whose targets are columns of the input, "
            f"got {task.name} without targets",
        )
    return task.targets


def option(values: Values, name: str, allowed: Collection[str]) -> str:
    """
    Raises:
        InfeasibleError: no such decision, or none of `allowed`.
    """
    value = values.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise InfeasibleError(name, f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value
