"""What families have in common: from a request's fields to decisions, and from the values of
decisions to what a network is built of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from models.architecture import Decision
from models.domains import Choice, Range, Scalar, as_domain
from models.family import InfeasibleError
from models.operations.window_view import WindowView
from models.task import Task

Values = Mapping[str, Scalar]

WINDOW_SCALINGS = ("none", "mean", "last")


def domain_values(domain: int | Choice | Range) -> tuple[int, ...]:
    """Every integer that a request allows."""
    return tuple(int(value) for value in as_domain(domain).values())


def one_or_choice(options: Sequence[int]) -> int | Choice:
    """As a request would say it."""
    return options[0] if len(options) == 1 else Choice(tuple(options))


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


def window_view(values: Values, task: Task) -> WindowView | None:
    """How a forecast sees its window, by `window_scaling` and `relative`; None: as it is. A window
    that is scaled is not relative too: less its mean, that is what it is less its last step.

    Raises:
        InfeasibleError: no such value, or the columns to forecast are unknown.
    """
    scaling = "none"
    if "window_scaling" in values:
        scaling = option(values, "window_scaling", WINDOW_SCALINGS)
    is_relative = "relative" in values and flag(values, "relative")
    if scaling == "none" and not is_relative:
        return None
    if task.targets is None:
        name = "window_scaling" if scaling != "none" else "relative"
        raise InfeasibleError(
            name,
            f"{name} is for forecasts whose targets are columns of the input, "
            f"got {task.name} without targets",
        )
    return WindowView(
        task.targets,
        task.known or (),
        "mean" if scaling == "mean" else "last",
        scaling != "none",
    )


def window_decisions(
    scaling: Scalar | Choice | Range, relative: Scalar | Choice | Range, task: Task
) -> list[Decision]:
    """How a forecast sees its window, where its targets are known: whether it is scaled, where that
    is asked for, and relative where it is not.
    """
    if task.targets is None:
        return []
    options = as_domain(scaling).values()
    if options == ("none",):
        return [Decision("relative", as_domain(relative), absent=False)]
    found = [Decision("window_scaling", as_domain(scaling), absent="none")]
    if "none" in options:
        when = condition("window_scaling", scaling, ["none"])
        found.append(Decision("relative", as_domain(relative), when, absent=False))
    return found


def canonical_view(values: Values) -> dict[str, Scalar]:
    """What is decided of how a forecast sees its window, without what says nothing."""
    if values.get("window_scaling", "none") != "none":
        return {"window_scaling": values["window_scaling"]}
    return {"relative": True} if values.get("relative") else {}


def canonical_with_view(values: Values) -> dict[str, Scalar]:
    """The decisions of a family that has a dropout and a view: of the view only what says
    something, and a dropout of 0 is the number 0.0.
    """
    kept = {n: v for n, v in values.items() if n not in ("relative", "window_scaling")}
    return {**kept, "dropout": share(values, "dropout")} | canonical_view(values)


def option(values: Values, name: str, allowed: Collection[str]) -> str:
    """
    Raises:
        InfeasibleError: no such decision, or none of `allowed`.
    """
    value = values.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise InfeasibleError(name, f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value
