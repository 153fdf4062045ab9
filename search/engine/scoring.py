"""What a result means: which metrics a trial may and must have, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from search.objectives import TEST_PREFIX, excess, fitness
from search.spec import SearchSpec
from search.trial import Failure, FailureKind, Trial


class Scoring:
    """The objectives and constraints of a search."""

    def __init__(self, spec: SearchSpec) -> None:
        self._objectives, self._constraints = spec.objectives, spec.constraints
        self._limits = spec.measured_limits

    def refuse_test_metrics(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        """
        Raises:
            ValueError: the trial must not have scored the test split.
        """
        leaked = sorted(name for name in metrics if name.startswith(TEST_PREFIX))
        if leaked and not trial.kind.sees_test:
            raise ValueError(f"trial {trial.number}, a {trial.kind}, must not report {leaked}")

    def failure(self, trial: Trial, metrics: Mapping[str, float]) -> Failure | None:
        """Why a trial that ended with these metrics has failed all the same."""
        if not trial.kind.needs_objectives:
            return None
        for name in (objective.metric for objective in self._objectives):
            if name not in metrics:
                message = f"the result lacks the objective {name}, got {sorted(metrics)}"
                return Failure(FailureKind.ERROR, message)
            if not math.isfinite(metrics[name]):
                return Failure(FailureKind.NON_FINITE, f"{name} is {metrics[name]}")
        return None

    def scored(self, ended: Trial, *, is_limited: bool) -> Trial:
        """`ended` with its fitness and violation. `is_limited`: none where it breaks a limit."""
        value = None
        if ended.failure is None:
            limits = self._limits if is_limited else ()
            value = fitness(ended.metrics, self._objectives, limits)
        return replace(ended, fitness=value, violation=excess(ended.metrics, self._constraints))
