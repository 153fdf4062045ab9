"""How well zero-cost scores ranked the networks that were then trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scipy.stats import kendalltau, spearmanr

from models.proxies import proxies

LEAST_TRIALS = 3


def rank_correlations(
    results: Iterable[tuple[Mapping[str, float], Sequence[float]]],
) -> dict[str, dict[str, float]]:
    """Spearman's rho and Kendall's tau-b between each proxy and the fitness in the first objective,
    over the `trials` that have both; `results` are pairs of metrics and fitness.

    A proxy with fewer than three such trials, or with equal values alone, is left out.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for metrics, fitness in results:
        for name in proxies:
            if name in metrics:
                pairs.setdefault(name, []).append((metrics[name], fitness[0]))
    found: dict[str, dict[str, float]] = {}
    for name, scored in sorted(pairs.items()):
        predicted, trained = zip(*scored, strict=True)
        if len(scored) < LEAST_TRIALS or len(set(predicted)) < 2 or len(set(trained)) < 2:
            continue
        found[name] = {
            "spearman": float(spearmanr(predicted, trained).statistic),
            "kendall": float(kendalltau(predicted, trained).statistic),
            "trials": len(scored),
        }
    return found
