"""The report of a search, without loading all of its trials."""

from __future__ import annotations

from typing import Any

from service.tables import Search
from service.trials.repository import Outcome, TrialRepository


def report_items(search: Search, trials: TrialRepository) -> list[dict[str, Any]]:
    """The items of `search.report.report`, one an objective."""
    from search.report import report
    from search.spec import SearchSpec

    spec = SearchSpec.model_validate(search.spec)
    outcomes = trials.outcomes()
    strategy = [o.fitness for o in outcomes if o.kind == "candidate" and o.counts]
    baseline = [o.fitness for o in outcomes if o.kind == "baseline" and o.counts]
    importances = _importances(search, trials, outcomes, len(spec.objectives))
    return report(spec, strategy, baseline, importances)


def _importances(
    search: Search, trials: TrialRepository, outcomes: list[Outcome], objectives: int
) -> list[dict[str, float]]:
    """None of a search whose dataset is not here any more."""
    from search.importance import importance, thinned
    from search.resolve import SpecError, resolve
    from service.trials.journal import trial_of

    try:
        space = resolve(search.spec).space
    except SpecError:
        return [{}] * objectives
    numbers = [o.number for o in outcomes if o.fitness is not None and o.is_new]
    results = [trial_of(row) for row in trials.of_numbers(thinned(numbers))]
    return [importance(space, results, index) for index in range(objectives)]
