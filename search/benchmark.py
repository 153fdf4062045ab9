"""A strategy on a table: how many queries to the best architectures, over many seeds.

A query is a distinct architecture whose search score was looked up. A repeat is answered from the
first lookup, an infeasible combination is told as such, and neither is a query; as in a search, the
space counts as exhausted after too many of either in a row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search.engine.stages.candidates import CANDIDATE, MAX_REFUSALS, MAX_REPEATS
from search.evaluation import EvaluationError
from search.evaluators.tabular import SCORES, Table, TableEvaluator
from search.objectives import Objective, fitness
from search.strategy import Strategy, StrategySettings, strategies
from search.trial import Candidate, Trial, TrialState

CHECKPOINTS = (25, 50, 100, 150, 200, 300)
"""Queries after which the incumbent is looked at, beside the last."""

TOP_FRACTION = 0.001
OBJECTIVE = Objective(metric="search_score")


@dataclass(frozen=True, slots=True)
class Course:
    """One seed: the scores of each query in order, and what it took to propose them.

    `final_scores` are of the same architectures; no strategy was shown them.
    """

    search_scores: tuple[float, ...]
    final_scores: tuple[float, ...]
    asks: int
    ask_seconds: float
    tell_seconds: float

    def incumbent(self, queries: int) -> tuple[float, float]:
        """Search and final score of the best of the first `queries`, the earliest among equals."""
        seen = self.search_scores[:queries]
        best = seen.index(max(seen))
        return seen[best], self.final_scores[best]

    def queries_to(self, score: float) -> int | None:
        """Queries until the search score was reached; None where it never was."""
        return next((n for n, seen in enumerate(self.search_scores, 1) if seen >= score), None)


def run_on_table(table: Table, strategy: Strategy, queries: int) -> Course:
    """Ask, look up and tell, one trial after another, until so many queries are spent.

    Raises:
        TypeError: the strategy proposes supernets, which no table holds.
    """
    space, evaluator = table.space(), TableEvaluator(table)
    first: dict[tuple[str, str], Trial] = {}
    rows: list[int] = []
    asks = repeats = refusals = 0
    ask_seconds = tell_seconds = 0.0
    while len(rows) < queries and repeats < MAX_REPEATS and refusals < MAX_REFUSALS:
        started = time.perf_counter()
        proposal = strategy.ask(asks, ())
        ask_seconds += time.perf_counter() - started
        if not isinstance(proposal, Candidate):
            raise TypeError("a table has no supernet to train")
        keys = space.keys(proposal)
        known = first.get(keys)
        if known is not None:
            repeats += 1
            trial = replace(
                known, number=asks, proposal=proposal, state=TrialState.CACHED, source=known.number
            )
        else:
            trial = first[keys] = _looked_up(evaluator, asks, proposal, keys)
            row = table.row(proposal.architecture)
            if row is None:
                repeats, refusals = 0, refusals + 1
            else:
                repeats = refusals = 0
                rows.append(row)
        asks += 1
        started = time.perf_counter()
        strategy.tell(trial)
        tell_seconds += time.perf_counter() - started
    search, final = (table.columns[name][rows].tolist() for name in SCORES)
    return Course(tuple(search), tuple(final), asks, ask_seconds, tell_seconds)


def benchmark(
    table: Table,
    name: str,
    settings: StrategySettings,
    queries: int,
    seeds: int,
    on_seed: Callable[[int, Course], None] | None = None,
) -> dict[str, Any]:
    """The strategy `name` with the seeds 0, 1, ... `seeds - 1`."""
    courses = []
    for seed in range(seeds):
        courses.append(
            run_on_table(table, strategies[name](table.space(), settings, seed), queries)
        )
        if on_seed is not None:
            on_seed(seed, courses[-1])
    return {
        "strategy": name,
        "settings": settings.model_dump(mode="json", exclude={"name"}),
        "table": table.name,
        "seeds": seeds,
        **summary(table, courses, queries),
    }


def summary(table: Table, courses: Sequence[Course], queries: int) -> dict[str, Any]:
    """Means and standard deviations over seeds; a seed that never got to the top counts with the
    cap, and `found` says how many did.
    """
    checkpoints = [*(at for at in CHECKPOINTS if at < queries), queries]
    incumbents = np.array([[course.incumbent(at) for at in checkpoints] for course in courses])
    spread = {"mean": incumbents.mean(axis=0), "std": incumbents.std(axis=0)}
    target = top_score(table, TOP_FRACTION)
    reached = [course.queries_to(target) for course in courses]
    asks = sum(course.asks for course in courses)
    return {
        "queries": checkpoints,
        **{
            score: {
                statistic: [round(float(v), 4) for v in values[:, column]]
                for statistic, values in spread.items()
            }
            for column, score in ((1, "final_score"), (0, "search_score"))
        },
        "queries_to_top": {
            "fraction": TOP_FRACTION,
            "score": target,
            "mean": float(np.mean([queries if n is None else n for n in reached])),
            "found": sum(n is not None for n in reached),
            "cap": queries,
        },
        "ask_seconds_mean": sum(course.ask_seconds for course in courses) / asks,
        "tell_seconds_mean": sum(course.tell_seconds for course in courses) / asks,
    }


def top_score(table: Table, fraction: float) -> float:
    """The lowest search score of the best `fraction` of the rows, rounded up to a whole row."""
    scores = np.sort(table.columns["search_score"])[::-1]
    return float(scores[math.ceil(fraction * len(scores)) - 1])


def _looked_up(
    evaluator: TableEvaluator, number: int, proposal: Candidate, keys: tuple[str, str]
) -> Trial:
    running = Trial(number, CANDIDATE, proposal, TrialState.RUNNING, *keys)
    try:
        (measured,) = evaluator.evaluate(running)
        metrics = measured.metrics
    except EvaluationError as error:
        return replace(running, state=TrialState.FAILED, failure=error.failure)
    return replace(
        running,
        state=TrialState.COMPLETED,
        metrics=metrics,
        fitness=fitness(metrics, [OBJECTIVE]),
    )
