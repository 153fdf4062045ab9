"""Whether a run is learning, vanishing or exploding. Knows no torch: the API says it as well."""

from __future__ import annotations

from collections.abc import Mapping


class NonFiniteError(RuntimeError):
    """The loss became NaN or infinite; the message says when and what was seen before."""


VANISHING = 1e-6
"""First-layer gradient norm over last-layer gradient norm below which a run vanishes."""


def diagnosis(metrics: Mapping[str, float]) -> str | None:
    """What is wrong with a run's gradients, for people; None where nothing is, or where the metrics
    of the epoch say nothing of gradients.
    """
    if "gradient_norm_first" not in metrics:
        return None
    first, last = metrics["gradient_norm_first"], metrics["gradient_norm_last"]
    if metrics["gradient_nonfinite_share"] > 0:
        share = metrics["gradient_nonfinite_share"]
        return f"exploding: {share:.2%} of the gradient is not finite"
    if last > 0 and first < VANISHING * last:
        return f"vanishing: gradient norm {first:.3g} in the first layer, {last:.3g} in the last"
    return None
