"""How well what a search remembers of earlier ones ranked its own results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.stats import spearmanr

from search.memory import Memory
from search.results.rank_correlation import LEAST_TRIALS

Keys = tuple[str, str]


def of_memory(memory: Memory, results: Mapping[Keys, float]) -> list[dict[str, Any]]:
    """Of each earlier search: `tried`, how many of what is remembered of it have a result here;
    `spearman`, the rank correlation of their places there with these results, None for fewer than
    three and where all are equal in one of them; `best_place`, that of the best candidate here,
    None where it is not remembered.

    results: the fitness of each candidate, by architecture key and recipe key, in the order of
        asking.
    """
    best = max(results, key=lambda keys: results[keys], default=None)
    found = []
    for remembered in memory:
        places = {(r.architecture_key, r.recipe_key): r.place for r in remembered.recollections}
        tried = {keys: place for keys, place in places.items() if keys in results}
        there, here = list(tried.values()), [results[keys] for keys in tried]
        is_ranked = len(tried) >= LEAST_TRIALS and len(set(there)) > 1 and len(set(here)) > 1
        found.append(
            {
                "tried": len(tried),
                "spearman": float(spearmanr(there, here).statistic) if is_ranked else None,
                "best_place": None if best is None else places.get(best),
            }
        )
    return found
