"""What a result means: which metrics a trial may and must have, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from search.objectives import excess, fitness
from search.spec import SearchSpec
from search.trial import Failure, FailureKind, Trial, TrialKind

TEST_PREFIX = "test_"

SCORED = (TrialKind.CANDIDATE, TrialKind.BASELINE)
"""Trials that have failed without a value for every objective."""


class Scoring:
    """The objectives and constraints of a search."""

    def __init__(self, spec: SearchSpec) -> None:
        self._objectives, self._constraints = spec.objectives, spec.constraints
        self._limits = spec.measured_limits

    def refuse_test_metrics(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        """The test split is for final trials, which no strategy is told of.

        Raises:
            ValueError: another trial has scored it.
        """
        leaked = sorted(name for name in metrics if name.startswith(TEST_PREFIX))
        if leaked and trial.kind is not TrialKind.FINAL:
            raise ValueError(f"trial {trial.number} is no final one and must not report {leaked}")

    def failure(self, trial: Trial, metrics: Mapping[str, float]) -> Failure | None:
        """Why a trial that ended with these metrics has failed all the same."""
        if trial.kind not in SCORED:
            return None
        for name in (objective.metric for objective in self._objectives):
            if name not in metrics:
                message = f"the result lacks the objective {name}, got {sorted(metrics)}"
                return Failure(FailureKind.ERROR, message)
            if not math.isfinite(metrics[name]):
                return Failure(FailureKind.NON_FINITE, f"{name} is {metrics[name]}")
        return None

    def scored(self, ended: Trial, is_free: bool) -> Trial:
        """`ended` with its fitness and violation. `is_free`: its fitness is not held to limits."""
        value = None
        if ended.failure is None:
            value = fitness(ended.metrics, self._objectives, () if is_free else self._limits)
        return replace(ended, fitness=value, violation=excess(ended.metrics, self._constraints))
