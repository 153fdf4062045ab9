"""Hard limits on what is derived from a supernet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from models.architecture import Architecture
from models.family import InfeasibleError
from models.supernets import Mix, Supernet
from search.objectives import Constraint, excess, violation

Costs = Callable[[Architecture], Mapping[str, float]]
"""Of a plain network, by metric. Raises models.family.InfeasibleError where there is none."""


def derive_within(
    supernet: Supernet,
    mix: Mix,
    limits: Sequence[Constraint],
    costs: Costs,
    first: Architecture | None = None,
) -> Architecture:
    """The architecture that stands out in `mix` among those within the limits, by steps from the
    one that stands out among all, or from `first`.

    A step gives up one chosen option for the next best of its row: the one that comes closer to the
    limits by the most for what it gives up, in logarithms of the mix. Where none comes closer, the
    one that gives up the least. The walk meets no architecture twice; it is no exhaustive search.

    Raises:
        models.family.InfeasibleError: it ends outside; the message has the nearest it came.
    """
    mix = {name: part.detach().clone() for name, part in mix.items()}
    found = supernet.derive(mix) if first is None else first
    seen, nearest = {found}, (_excess(costs, found, limits), found)
    while nearest[0] > 0:
        options = []
        before = _excess(costs, found, limits)
        for name, row, column, price in _chosen(supernet, found, mix):
            kept = mix[name][row, column].clone()
            mix[name][row, column] = 0
            other = supernet.derive(mix)
            mix[name][row, column] = kept
            if other not in seen:
                gain = before - _excess(costs, other, limits)
                rate = gain / max(price, 1e-9) if gain > 0 else -price - 1e9
                options.append((rate, (name, row, column), other))
        if not options:
            metrics = costs(nearest[1])
            raise InfeasibleError(
                "constraints",
                f"no network was derived within the limits, the nearest is not: "
                f"{violation(metrics, limits)}",
            )
        _, (name, row, column), found = max(options, key=lambda option: option[0])
        mix[name][row, column] = 0
        seen.add(found)
        nearest = min(nearest, (_excess(costs, found, limits), found), key=lambda pair: pair[0])
    return nearest[1]


def _chosen(
    supernet: Supernet, architecture: Architecture, mix: Mix
) -> Iterator[tuple[str, int, int, float]]:
    """(group, row, option, price) of what is chosen where the row has something else left."""
    for name, taken in supernet.mix_of(architecture).items():
        for row, column in taken.nonzero().tolist():
            rest = [value for c, value in enumerate(mix[name][row].tolist()) if c != column]
            value = float(mix[name][row, column])
            if value > 0 and max(rest) > 0:
                yield name, row, column, max(0.0, math.log(value / max(rest)))


def _excess(costs: Costs, architecture: Architecture, limits: Sequence[Constraint]) -> float:
    try:
        return excess(costs(architecture), limits)
    except InfeasibleError:
        return math.inf
