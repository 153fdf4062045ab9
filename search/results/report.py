"""What came of a search: the winner, or the Pareto set, with search and final scores; how it went
beside its baseline; which decisions mattered.

Test metrics are shown and never used: no order and no choice here depends on them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from models.datasets.tables import SCORES as TABLE_SCORES
from models.training.baseline import held_against, verdict
from search.objectives import (
    COST_METRICS,
    MEASURED_METRICS,
    TEST_PREFIX,
    Objective,
    best_trials,
    fitness,
)
from search.results.comparison import best_so_far, paired_difference
from search.results.ensemble import handed_out, of_ensemble
from search.spec import SearchSpec
from search.trial import Trial, TrialState

Fitness = tuple[float, ...] | None


def best(
    spec: SearchSpec, trials: Sequence[Trial], floor: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """The items of `GET /v1/searches/{id}/best`, the winner first. `floor`: what knows nothing of
    the data scores, by metric; None: unknown.

    With one objective the `final.top` best candidates, with several the Pareto set.
    `final_metrics` is None until a final run of the candidate has completed. Candidates with final
    runs come first, by the mean of their final validation scores; the others follow by search
    score, and so do all where the final runs keep no validation split (`train+val` without early
    stopping). Before all of them comes an ensemble that is better than its members alone.
    """
    finals = final_runs(trials)
    candidates = eligible(spec, trials)
    top = spec.final.top if len(spec.objectives) == 1 else len(candidates)
    shown = best_trials(candidates, top, by_loss=spec.final.ties == "loss")

    def final_score(trial: Trial) -> tuple[bool, tuple[float, ...]]:
        score = validation_fitness(finals.get(trial.number, ()), spec.objectives)
        return score is not None, score or ()

    def judged(trial: Trial, runs: Sequence[Trial]) -> dict[str, Any]:
        return {
            "final_metrics": spread(runs),
            "baseline": None if floor is None else dict(floor),
            "verdict": _verdict(spec, trial, runs, floor or {}),
        }

    together = handed_out(spec, trials)
    first = (
        []
        if together is None
        else [{**of_ensemble(together, trials), **judged(together, [together])}]
    )
    return first + [
        {
            "trial": trial.number,
            "architecture": trial.candidate.architecture.to_json(),
            "search_metrics": dict(trial.metrics),
            "ensemble": None,
            **judged(trial, finals.get(trial.number, ())),
        }
        for trial in sorted(shown, key=final_score, reverse=True)
    ]


def _verdict(
    spec: SearchSpec, trial: Trial, finals: Sequence[Trial], floor: Mapping[str, float]
) -> str | None:
    """Whether it is no better than what knows nothing: by the first objective that has a floor,
    else by the metric that stands for it, as the final runs score it, or where they do not, as the
    search did. Of folds the floor is a mean, and so is the search's score alone.
    """
    scores = [o for o in spec.objectives if o.metric in floor or o.metric.startswith("val_")]
    for objective in sorted(scores, key=lambda objective: objective.metric not in floor):
        metric, goal = held_against(objective.metric, objective.goal, floor) or ("", objective.goal)
        if metric in trial.metrics:
            found = [trial.metrics[metric]]
            is_of_folds = f"{metric}_std" in trial.metrics
            values = found if is_of_folds else _columns(finals).get(metric, found)
            return verdict(metric, goal, statistics.fmean(values), floor[metric])
    return None


def report(
    spec: SearchSpec,
    strategy: Sequence[Fitness],
    baseline: Sequence[Fitness],
    presets: Sequence[tuple[str, int, Fitness]],
    finals: Mapping[int, Sequence[Trial]],
    importances: Sequence[Mapping[str, float]],
    floor: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """For each objective: the best so far of the strategy and of the baseline, their paired
    difference (`search.results.comparison`), and what each decision explains
    (`search.results.importance`).

    strategy, baseline: the fitness of the trials that count, in the order of asking.
    presets: name, number and fitness of the trials of `spec.presets`.
    finals: the final runs of each of them, by its number.
    floor: as of `best`.
    """
    return [
        {
            "metric": objective.metric,
            "goal": objective.goal,
            "strategy": _course(objective, column(strategy, index)),
            "baseline": _course(objective, column(baseline, index)) if spec.baseline else None,
            "floor": (floor or {}).get(objective.metric),
            "presets": [
                {
                    "preset": name,
                    "trial": number,
                    "value": _value(objective, fitness, index),
                    "final_metrics": spread(finals.get(number, ())),
                }
                for name, number, fitness in presets
            ],
            "difference": paired_difference(column(strategy, index), column(baseline, index)),
            "importance": [
                {"decision": name, "share": share} for name, share in importances[index].items()
            ],
        }
        for index, objective in enumerate(spec.objectives)
    ]


def simple_verdict(
    spec: SearchSpec, items: Sequence[Mapping[str, Any]], simple: Sequence[Mapping[str, Any]]
) -> str | None:
    """What is said before anything else of a winner that is no better than a simple model on
    validation, by the first objective that both have; None of one that is.

    items: of `best`. simple: results of `models.simple`, as JSON.
    """
    if not items:
        return None
    final = items[0]["final_metrics"] or {}
    for objective in spec.objectives:
        metric = objective.metric
        known = {s["name"]: s["validation"][metric] for s in simple if metric in s["validation"]}
        own = final[metric]["mean"] if metric in final else items[0]["search_metrics"].get(metric)
        if not known or own is None:
            continue
        choose = max if objective.goal == "maximize" else min
        name = choose(known, key=lambda n: known[n])
        if choose(known[name], own) == own != known[name]:
            return None
        return (
            f"A simple model is as good: {metric} of {name} is {known[name]:.6g}, the winner has "
            f"{own:.6g}."
        )
    return None


def column(run: Sequence[Fitness], index: int) -> list[float | None]:
    """One objective's part of each fitness."""
    return [None if fitness is None else fitness[index] for fitness in run]


def _value(objective: Objective, fitness: Fitness, index: int) -> float | None:
    if fitness is None:
        return None
    return fitness[index] if objective.goal == "maximize" else -fitness[index]


def _course(objective: Objective, run: Sequence[float | None]) -> dict[str, Any]:
    sign = 1.0 if objective.goal == "maximize" else -1.0
    steps = [{"trials": trials, "value": sign * best} for trials, best in best_so_far(run)]
    return {"trials": len(run), "best_so_far": steps}


def choose_final(spec: SearchSpec, finals: Sequence[Trial]) -> Trial | None:
    """Of one candidate's final runs the one whose weights are handed out: the best validation
    score, and the first seed among equals or without validation. None if no run has completed.
    """
    completed = sorted(
        (trial for trial in finals if trial.state is TrialState.COMPLETED),
        key=lambda trial: (trial.seed, trial.number),
    )
    if not completed:
        return None
    objectives = [o for o in spec.objectives if o.metric.startswith("val_")]
    objectives = objectives or [Objective(metric="val_loss", goal="minimize")]
    scores = [validation_fitness([trial], objectives) for trial in completed]
    if any(score is None for score in scores):
        return completed[0]
    return max(zip(completed, scores, strict=True), key=lambda pair: pair[1] or ())[0]


def eligible(spec: SearchSpec, trials: Sequence[Trial]) -> list[Trial]:
    """The candidates that can win: trained to the end, with a score, inside every constraint."""
    return [
        trial
        for trial in trials
        if trial.kind.competes
        and trial.has_result
        and trial.fitness is not None
        and not any(constraint.violation(trial.metrics) for constraint in spec.constraints)
    ]


def final_runs(trials: Sequence[Trial]) -> dict[int, list[Trial]]:
    """The completed final runs by the number of the candidate that they retrained."""
    runs: dict[int, list[Trial]] = {}
    for trial in trials:
        if trial.kind.retrains and trial.state is TrialState.COMPLETED:
            if trial.source is None:
                raise ValueError(f"final trial {trial.number} names no candidate")
            runs.setdefault(trial.source, []).append(trial)
    return runs


def validation_fitness(
    finals: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[float, ...] | None:
    """Fitness of the mean metrics of final runs, the test metrics left out; None where one of the
    objectives was not measured.
    """
    means = {
        name: statistics.fmean(values)
        for name, values in _columns(finals).items()
        if not name.startswith(TEST_PREFIX)
    }
    return fitness(means, objectives)


def spread(finals: Sequence[Trial]) -> dict[str, dict[str, float]] | None:
    """Mean, sample standard deviation (n - 1; 0 for one run) and number of runs of each score and
    cost that every run has; None without runs.
    """
    if not finals:
        return None
    return {
        name: {
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else 0.0,
            "seeds": len(values),
        }
        for name, values in _columns(finals).items()
        if name.startswith(("val_", TEST_PREFIX))
        or name in (*COST_METRICS, *MEASURED_METRICS, *TABLE_SCORES)
    }


def _columns(finals: Sequence[Trial]) -> Mapping[str, list[float]]:
    """Each metric that every run has, with its values in the order of the runs."""
    if not finals:
        return {}
    shared = set.intersection(*(set(trial.metrics) for trial in finals))
    return {name: [trial.metrics[name] for trial in finals] for name in sorted(shared)}
