"""Ensemble selection: Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004, section 2.2."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Value = tuple[float, ...]
"""Bigger is better."""


def selected(
    models: Sequence[int], size: int, value: Callable[[Sequence[int]], Value]
) -> list[int]:
    """Models that are good together, in the order in which they were picked: forward, with
    replacement, always the one with which the `value` of all so far is largest; then the first of
    them, as many as are best together. Of equal ones the earlier model, and the fewer of them.

    value: of an ensemble, its picks in their order.
    """
    picks: list[int] = []
    best: tuple[Value, list[int]] | None = None
    while len(picks) < size:
        values = [value([*picks, model]) for model in models]
        reached = max(values)
        picks = [*picks, models[values.index(reached)]]
        if best is None or reached > best[0]:
            best = reached, picks
    return best[1] if best is not None else []
