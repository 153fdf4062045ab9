"""What a search takes over from earlier ones: their results, as trials that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from search.objectives import fitness
from search.problems import SpecError, problem
from search.request.resolve import Resolved
from search.spec import SearchSpec
from search.trial import Trial, TrialState

MAX_TRIALS = 1000
"""Taken over by one search: an equal part of each earlier one, its best."""

ERRORS = frozenset({"val_mae", "val_rmse"})
"""Whose unit `errors_in` says."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier search: its resolved spec, and the best of its candidates that have a result, in
    the order of their numbers.
    """

    id: str
    spec: SearchSpec
    dataset_fingerprint: str
    trials: Sequence[Trial]


def taken_over(resolved: Resolved, find: Callable[[str, int], Earlier | None]) -> list[Trial]:
    """The first trials of a search: distinct results of the searches that its spec names, in the
    order of the names and then of the numbers. `find` gives a search with at most so many of its
    results.

    A result fits where both searches have the same dataset, by its fingerprint, and the same
    objectives; where its architecture is a point of this space and its recipe one of this recipe's;
    where it keeps this search's constraints; and where its training began from scratch. A search of
    which nothing fits is refused.

    Raises:
        search.problems.SpecError: with what differs, for each search that does not fit.
    """
    found: dict[tuple[str, str], Trial] = {}
    problems = []
    named = resolved.spec.warm_start
    for index, search_id in enumerate(named):
        try:
            for trial in _fitting(resolved, search_id, find(search_id, MAX_TRIALS // len(named))):
                found.setdefault((trial.architecture_key, trial.recipe_key), trial)
        except ValueError as error:
            problems.append(problem(str(error), "warm_start", index))
    if problems:
        raise SpecError(problems)
    return [replace(trial, number=number) for number, trial in enumerate(found.values())]


def _fitting(resolved: Resolved, search_id: str, earlier: Earlier | None) -> list[Trial]:
    if earlier is None:
        raise ValueError(f"there is no search {search_id!r}")
    spec = resolved.spec
    if earlier.dataset_fingerprint != resolved.dataset.fingerprint:
        raise ValueError(
            f"/dataset differs: it searched {earlier.spec.dataset!r} with the fingerprint "
            f"{earlier.dataset_fingerprint[:12]}, here {spec.dataset!r} has "
            f"{resolved.dataset.fingerprint[:12]}"
        )
    theirs = {(o.metric, o.goal) for o in earlier.spec.objectives}
    ours = {(o.metric, o.goal) for o in spec.objectives}
    if theirs != ours:
        named = (
            " and ".join(f"{goal} {metric}" for metric, goal in sorted(s)) for s in (theirs, ours)
        )
        raise ValueError("/objectives differ: it is to {}, here it is to {}".format(*named))
    wanted = {objective.metric for objective in spec.objectives}
    wanted |= {limit.metric for limit in spec.constraints}
    if earlier.spec.errors_in != spec.errors_in and wanted & ERRORS:
        raise ValueError(
            f"/errors_in differs: it is {earlier.spec.errors_in}, here it is {spec.errors_in}"
        )
    if not set(earlier.spec.families) & set(spec.families):
        named = (" or ".join(known.families) for known in (earlier.spec, spec))
        raise ValueError("/space/family differs: it is {}, here it is {}".format(*named))
    if not earlier.trials:
        raise ValueError(f"{search_id} has no result yet")
    fitting, reasons = [], []
    for trial in earlier.trials:
        try:
            fitting.append(_here(resolved, earlier, trial))
        except ValueError as error:
            reasons.append(str(error))
    if not fitting:
        raise ValueError(f"none of its {len(reasons)} results fits; the first: {reasons[0]}")
    return fitting


def _here(resolved: Resolved, earlier: Earlier, trial: Trial) -> Trial:
    """The trial in this search, still with its own number, and without errors in another unit.

    Raises:
        ValueError: it is no point of this space, or not within the constraints, or it began with
            weights that this search has not.
    """
    spec, space = resolved.spec, resolved.space
    if trial.candidate.weights_from is not None:
        raise ValueError(
            f"it began with the weights of that search's supernet trial "
            f"{trial.candidate.weights_from}, here it would begin from scratch"
        )
    candidate = space.candidate(space.values(trial.candidate))
    architecture_key, recipe_key = space.keys(candidate)
    others = ERRORS if earlier.spec.errors_in != spec.errors_in else ()
    metrics = {name: value for name, value in trial.metrics.items() if name not in others}
    score = fitness(metrics, spec.objectives, spec.constraints)
    if score is None:
        raise ValueError("its metrics do not keep /constraints")
    return Trial(
        trial.number,
        trial.kind,
        candidate,
        TrialState.CACHED,
        architecture_key,
        recipe_key,
        seed=trial.seed,
        metrics=metrics,
        fitness=score,
        source=trial.number if trial.source_search is None else trial.source,
        source_search=trial.source_search or earlier.id,
    )
