"""The dry run of a request: how large its space is, what is in it, and what a search will cost."""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from models.family import InfeasibleError
from search.engine.stages.baseline import Baseline
from search.engine.stages.candidates import Candidates
from search.engine.stages.finals import Finals
from search.objectives import violation
from search.request.pretraining import pretraining_inputs
from search.request.resolve import Resolved, ResolvedSpace
from search.streams import SearchPurpose, rng_for

EXAMPLES = 3

BACKWARD_FLOPS = 2
"""A backward pass costs about two forward passes: one gradient for inputs, one for weights."""


def describe(resolved: ResolvedSpace, seed: int = 0) -> dict[str, Any]:
    """The dry run of a space: its size (null: infinite) and example networks with their cost."""
    return {
        "size": _json_number(resolved.space.size),
        "examples": list(itertools.islice(_examples(resolved, seed), EXAMPLES)),
    }


def estimate(resolved: Resolved) -> dict[str, Any]:
    """The dry run of a search: the space, and what the search will cost at most.

    `training_flops` takes the mean of the examples for every trial, and a backward pass for two
    forward passes. It is null where no example could be built.
    """
    spec, described = resolved.spec, describe(resolved, resolved.spec.seed)
    trials, compared, finals = (
        stage.counts(spec, resolved.space.size) for stage in (Candidates, Baseline, Finals)
    )
    epochs, training_flops = 0.0, None
    if resolved.table is None:
        epochs = statistics.fmean(resolved.space.epochs) * (trials + compared)
        epochs += (spec.final.epochs or 0) * finals
        flops = [example["flops"] for example in described["examples"]]
        inputs = pretraining_inputs(spec.training, resolved.dataset.sizes)
        passes = epochs * resolved.dataset.sizes["train"] + (trials + compared + finals) * inputs
        passes *= 1 + BACKWARD_FLOPS
        training_flops = sum(flops) / len(flops) * passes if flops else None
    return {
        **described,
        "trials": trials,
        "baseline_trials": compared,
        "final_trials": finals,
        "epochs": round(epochs),
        "training_flops": training_flops,
        "seconds_limit": spec.budget.seconds,
    }


def _json_number(size: int | float) -> int | float | None:
    """Exact as long as a double can hold it; None for infinity, which JSON has not."""
    if size == math.inf:
        return None
    return size if size <= 2**53 else float(min(size, int(sys.float_info.max)))


def _examples(resolved: ResolvedSpace, seed: int) -> Iterator[dict[str, Any]]:
    """Distinct random networks that can be built, from a bounded number of draws."""
    seen: set[tuple[str, str]] = set()
    limits = resolved.spec.cost_limits if isinstance(resolved, Resolved) else ()
    for number in range(10 * EXAMPLES):
        candidate = resolved.space.sample(rng_for(seed, SearchPurpose.EXAMPLE, number))
        keys = resolved.space.keys(candidate)
        if keys in seen:
            continue
        seen.add(keys)
        try:
            metrics = resolved.cost(candidate)
        except InfeasibleError:
            continue
        yield {**candidate.to_json(), **metrics, "violation": violation(metrics, limits)}
