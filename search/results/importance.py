"""Which decision mattered: functional ANOVA, Hutter et al., ICML 2014,
https://proceedings.mlr.press/v32/hutter14.html, through Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from models.domains import Choice, Domain, Scalar
from search.space import SearchSpace
from search.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

T = TypeVar("T")

MIN_TRIALS = 10
MAX_TRIALS = 300
"""Shown to the forest; of more, so many evenly spread over the search."""

TREES = 32
"""Half of Optuna's: the work grows with trees times trials times decisions."""


def importance(space: SearchSpace, trials: Sequence[Trial], objective: int) -> dict[str, float]:
    """The share of the variance of the score, over the whole space, that each decision explains by
    itself, the largest first; what is missing to 1 are interactions. Empty for fewer than ten
    results, or where all scores are the same.

    `trials` have fitness. A forest of regression trees predicts it, and the variance is that of
    the forest, every value of a decision being equally likely. An inactive decision takes the first
    value of its domain, so that what switches it off is not counted twice. Decisions that
    had one value in all trials explain nothing and are left out.
    """
    known = [
        (place, trial.fitness[objective])
        for trial in thinned(trials)
        if trial.fitness is not None and (place := _place(space, trial)) is not None
    ]
    points, scores = [place for place, _ in known], [score for _, score in known]
    if len(scores) < MIN_TRIALS or min(scores) == max(scores):
        return {}
    names = [name for name in points[0] if len({point[name] for point in points}) > 1]

    import optuna  # takes a second

    axis: BaseDistribution = optuna.distributions.FloatDistribution(0.0, 1.0)
    axes = dict.fromkeys(names, axis)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=score, params={name: point[name] for name in names}, distributions=axes
            )
            for point, score in zip(points, scores, strict=True)
        ]
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
    return {name: float(share) for name, share in evaluator.evaluate(study).items()}


def thinned(items: Sequence[T]) -> Sequence[T]:
    """At most so many as the forest is shown, evenly spread."""
    if len(items) <= MAX_TRIALS:
        return items
    return [items[index * len(items) // MAX_TRIALS] for index in range(MAX_TRIALS)]


def _place(space: SearchSpace, trial: Trial) -> dict[str, float] | None:
    """Every decision as a number in 0..1; None for a trial that is no point of the space, which a
    later version may have made another.
    """
    try:
        values = space.values(trial.candidate)
    except ValueError:
        return None
    return {
        decision.name: _unit(decision.domain, values.get(decision.name, decision.domain.first))
        for decision in space.decisions
        if decision.domain.size > 1
    }


def _unit(domain: Domain, value: Scalar) -> float:
    """The middle of the value's share of 0..1, every option's share being as wide as another's."""
    if isinstance(domain, Choice):
        return (domain.encode(value).index(1.0) + 0.5) / domain.size
    return domain.encode(value)[0]
