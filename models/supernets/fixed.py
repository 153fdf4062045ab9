"""The decisions that all networks of a supernet have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from models.architecture import Architecture, Decision
from models.domains import Scalar
from models.family import InfeasibleError


def one_value_each(
    decisions: Iterable[Decision], needed: Mapping[str, Scalar] | None = None
) -> dict[str, Scalar]:
    """The values of decisions that shape a supernet; `needed` are those that have to be.

    Raises:
        InfeasibleError: a decision has several values. The message names all such decisions, and
            a value for each.
    """
    needed = needed or {}
    decisions = list(decisions)
    if open_ones := [decision for decision in decisions if decision.domain.size > 1]:
        names = ", ".join(decision.name for decision in open_ones)
        got = {decision.name: decision.domain.to_json() for decision in open_ones}
        given = {d.name: needed.get(d.name, d.domain.first) for d in open_ones}
        raise InfeasibleError(
            open_ones[0].name,
            f"networks that share weights have one value of {names}, got {json.dumps(got)}; "
            f"fix them, as by {json.dumps(given)}",
        )
    values = {decision.name: decision.domain.first for decision in decisions}
    for name, value in needed.items():
        if values[name] != value:
            raise InfeasibleError(
                name, f"networks that share weights have {name} {value}, got {values[name]}"
            )
    return values


def check_fixed(architecture: Architecture, fixed: Mapping[str, Scalar]) -> None:
    """
    Raises:
        ValueError: the architecture has another value of a fixed decision.
    """
    for name, value in fixed.items():
        if (got := architecture.decisions.get(name)) != value:
            raise ValueError(f"{name} of this supernet is {value!r}, got {got!r}")


def check_whole(partial: int, family: str) -> None:
    """
    Raises:
        InfeasibleError: operations are to see a share of the channels.
    """
    if partial > 1:
        raise InfeasibleError(
            "family",
            f"operations of {family} see all channels, got 1 of {partial}: give the strategy "
            '"partial": 1',
        )
