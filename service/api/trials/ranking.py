"""The best trials of a search, without loading all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from service.sql.tables import Search
from service.sql.trials import TrialRepository

if TYPE_CHECKING:
    from search.spec import SearchSpec
    from search.trial import Trial

_BATCH = 200


def best_items(search: Search, trials: TrialRepository) -> list[dict[str, Any]]:
    """The items of `search.results.report.best`."""
    from search.request.read import stored_spec
    from search.results.report import best
    from service.sql.trial_rows import trial_of

    spec = stored_spec(search.spec)
    finals = [trial_of(row) for row in trials.finals()]
    candidates = _contenders(spec, trials, {f.source for f in finals if f.source is not None})
    return best(spec, [*candidates, *finals], search.floor)


def hypervolume_points(search: Search, trials: TrialRepository) -> list[tuple[int, float]]:
    """(trial, hypervolume) of each trial that made it grow; none with one objective."""
    from search.request.read import stored_spec
    from search.results.hypervolume import hypervolume_course

    if len(stored_spec(search.spec).objectives) == 1:
        return []
    scores = trials.scores()
    course = hypervolume_course([fitness for _, fitness in scores])
    return [(scores[index][0], value) for index, value in course]


def _contenders(spec: SearchSpec, trials: TrialRepository, retrained: set[int]) -> list[Trial]:
    """Every candidate that can be shown: with one objective, the eligible ones from the top of the
    ranking down and those that were retrained; with several, all.
    """
    from search.results.report import eligible
    from service.sql.trial_rows import trial_of

    ranked = sorted(trials.scores(), key=lambda scored: scored[1], reverse=True)
    top = spec.final.top if len(spec.objectives) == 1 else len(ranked)
    found: list[Trial] = []
    for start in range(0, len(ranked), _BATCH):
        batch = ranked[start : start + _BATCH]
        if len(found) >= top and batch[0][1] < _worst_of(found, top):
            break  # what is equal may come first by its loss
        numbers = [number for number, _ in batch]
        found += eligible(spec, [trial_of(row) for row in trials.of_numbers(numbers)])
    shown = {trial.number for trial in found}
    missing = [number for number in sorted(retrained) if number not in shown]
    return found + [trial_of(row) for row in trials.of_numbers(missing)]


def _worst_of(found: Sequence[Trial], top: int) -> tuple[float, ...]:
    """The fitness of the last of the `top` best."""
    return sorted((trial.fitness or () for trial in found), reverse=True)[top - 1]
