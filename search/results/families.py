"""What each family of networks reached in a search over several, and for how many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.objectives import Objective


@dataclass(frozen=True, slots=True)
class FamilyTrial:
    """An ended trial of the strategy; `seconds`: that a worker had it."""

    family: str
    seconds: float
    fitness: tuple[float, ...] | None


def by_family(
    objectives: Sequence[Objective], families: Sequence[str], trials: Sequence[FamilyTrial]
) -> list[dict[str, Any]]:
    """Of each family, those without a trial too: its trials, their seconds in all, and the best
    value of each objective by metric; None where no trial has one.
    """
    found = []
    for family in families:
        own = [trial for trial in trials if trial.family == family]
        scores = [trial.fitness for trial in own if trial.fitness is not None]
        found.append(
            {
                "family": family,
                "trials": len(own),
                "seconds": sum(trial.seconds for trial in own),
                "best": {
                    objective.metric: _best(objective, [score[index] for score in scores])
                    for index, objective in enumerate(objectives)
                },
            }
        )
    return found


def _best(objective: Objective, fitnesses: Sequence[float]) -> float | None:
    if not fitnesses:
        return None
    return max(fitnesses) * (1.0 if objective.goal == "maximize" else -1.0)
