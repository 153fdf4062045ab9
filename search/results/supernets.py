"""How the training of a supernet went, from its trial and its curve alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLLAPSE, ROW = "collapse ", "entropy "
"""Begin the names of metrics: of a sign of collapse, and of the entropy of one row."""

Point = tuple[int, Mapping[str, float | None], Mapping[str, Any] | None]
"""Epoch, metrics, and the architecture derived after it, as JSON."""


def course(
    metrics: Mapping[str, float], curve: Sequence[Point], failure: str | None, is_running: bool
) -> dict[str, Any]:
    """`metrics`: of the trial's end. `entropy` has a list for each of `rows`, one value an epoch;
    None is what an epoch has not measured.
    """
    rows = list(dict.fromkeys(n for _, found, _ in curve for n in found if n.startswith(ROW)))
    return {
        "epochs": [epoch for epoch, _, _ in curve],
        "rows": [row.removeprefix(ROW) for row in rows],
        "entropy": [[found.get(row) for _, found, _ in curve] for row in rows],
        "skip_share": [found.get("skip_share") for _, found, _ in curve],
        "hessian_eigenvalue": [found.get("hessian_eigenvalue") for _, found, _ in curve],
        "derived": [derived for _, _, derived in curve],
        "derived_epoch": int(metrics["derived_epoch"]) if "derived_epoch" in metrics else None,
        "discretisation_gap": metrics.get("discretisation_gap"),
        "ending": _ending(metrics, curve, failure, is_running),
    }


def _ending(
    metrics: Mapping[str, float], curve: Sequence[Point], failure: str | None, is_running: bool
) -> str:
    last = curve[-1][0] if curve else 0
    if is_running:
        return f"running, {last} epochs so far"
    if failure is not None:
        return f"{failure}, after {last} epochs"
    signs = [
        (epoch, f"{name.removeprefix(COLLAPSE)} {value:.3g}")
        for epoch, found, _ in curve
        for name, value in found.items()
        if name.startswith(COLLAPSE) and value is not None
    ]
    counted = int(metrics.get("derived_epoch", last))
    parts = [f"restarted after epoch {epoch}: {sign}" for epoch, sign in signs if epoch < last]
    if counted < last and signs:
        parts.append(
            f"stopped after epoch {last}: {signs[-1][1]}; the architecture is that of "
            f"epoch {counted}"
        )
    else:
        parts.append(f"trained to the end, {last} epochs")
    return "; ".join(parts)
