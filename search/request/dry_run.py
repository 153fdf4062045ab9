"""The dry run of a request: how large its space is, what is in it, and what a search will cost."""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from models.family import InfeasibleError
from search.engine.stages.baseline import Baseline
from search.engine.stages.candidates import Candidates
from search.engine.stages.finals import Finals
from search.objectives import Constraint, violation
from search.request.resolve import Resolved
from search.request.space_request import ResolvedSpace
from search.streams import SearchPurpose, rng_for

EXAMPLES = 3

BACKWARD_FLOPS = 2
"""A backward pass costs about two forward passes: one gradient for inputs, one for weights."""


def describe(
    resolved: Resolved | ResolvedSpace, seed: int = 0, limits: Sequence[Constraint] = ()
) -> dict[str, Any]:
    """The dry run of a space: its size (null: infinite) and example networks with their cost.
    `limits`: on that cost.
    """
    return {
        "size": _json_number(resolved.space.size),
        "examples": list(itertools.islice(_examples(resolved, seed, limits), EXAMPLES)),
    }


def estimate(resolved: Resolved) -> dict[str, Any]:
    """The dry run of a search: the space, and what the search will cost at most.

    An epoch is one of each network of a trial, of which a dataset with folds has several.
    `training_flops` takes the mean of the examples for every trial, and a backward pass for two
    forward passes. It is null where no example could be built.
    """
    spec = resolved.spec
    described = describe(resolved, spec.seed, spec.cost_limits)
    trials, compared, finals = (
        stage.counts(spec, resolved.space.size) for stage in (Candidates, Baseline, Finals)
    )
    epochs, inputs = resolved.source.work(spec, resolved.space, trials + compared, finals)
    steps = resolved.source.steps(spec)
    training_flops = None
    if inputs is not None and described["examples"]:
        flops = statistics.fmean(example["flops"] for example in described["examples"])
        training_flops = flops * inputs * (1 + BACKWARD_FLOPS)
    return {
        **described,
        "trials": trials,
        "baseline_trials": compared,
        "final_trials": finals,
        "epochs": round(epochs),
        "steps_per_trial": None if steps is None else round(steps),
        "networks_per_trial": resolved.dataset.networks_per_trial,
        "training_flops": training_flops,
        "seconds_limit": spec.budget.seconds,
        "baseline": resolved.floor,
    }


def _json_number(size: int | float) -> int | float | None:
    """Exact as long as a double can hold it; None for infinity, which JSON has not."""
    if size == math.inf:
        return None
    return size if size <= 2**53 else float(min(size, int(sys.float_info.max)))


def _examples(
    resolved: Resolved | ResolvedSpace, seed: int, limits: Sequence[Constraint]
) -> Iterator[dict[str, Any]]:
    """Distinct random networks that can be built, from a bounded number of draws."""
    seen: set[tuple[str, str]] = set()
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
