"""Every strategy on networks that are really trained, beside random search.

    python benchmarks/searches.py [--strategies tpe bananas] [--trials 60] [--seeds 5]
                                  [--processes 1]

Cells of the DARTS topology on digits, small enough (two cells of 4 channels, 3 epochs) that
networks differ. A seed of a strategy is one search, one trial after another, in a process of its
own on one thread. `bananas` runs in two variants as well: begun with the best of 500 random
networks by a zero-cost proxy, and with zero-cost proxies among the features of its predictor.

- `area`: the mean over the trials of the best validation accuracy so far, the area under that curve
- `search_accuracy`: validation accuracy of the winner in the search
- `test_accuracy`: of the winner, retrained from scratch
- `against_random`: mean over the seeds of the difference in `area` to random search of the same
  seed, and its standard error
- `rank_correlation`: Spearman's rho of each proxy and what was trained, mean over the seeds
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import tempfile
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import torch

from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.opening import opening
from search.request.resolve import resolve
from search.request.screening import Screening
from search.results.comparison import best_so_far
from search.results.rank_correlation import rank_correlations
from search.results.report import final_runs
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import strategies

RANDOM = "random"
WARM_PROXY = "synflow"
FEATURES = ("synflow", "parameters")
VARIANTS: dict[str, dict[str, Any]] = {
    "bananas, warm start": {"strategy": {"name": "bananas"}, "proxies": [{"name": WARM_PROXY}]},
    "bananas, features": {"strategy": {"name": "bananas", "proxies": FEATURES}},
}


def request(strategy: str, trials: int, seed: int) -> dict[str, Any]:
    return {
        "dataset": "digits",
        "space": {"family": "cnn_cell", "nodes": 3, "channels": 4, "cells": 2},
        "training": {"epochs": 3},
        **VARIANTS.get(strategy, {"strategy": {"name": strategy}}),
        "budget": {"trials": trials},
        "final": {"seeds": 1, "epochs": 20},
        "seed": seed,
    }


def search(strategy: str, trials: int, seed: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    resolved = resolve(request(strategy, trials, seed))
    screening = Screening.of(resolved)
    run = SearchRun(
        resolved.spec,
        resolved.space,
        resolved.strategy(),
        MemoryJournal(),
        resolved.cost,
        suggestions=opening(resolved, screening),
        screen=screening,
    )
    with tempfile.TemporaryDirectory() as folder:
        run_serial(run, TrainEvaluator.for_search(resolved.spec, folder))
    (winner,) = run.best
    (final,) = final_runs(run.trials)[winner.number]
    spent = [trial for trial in run.trials if trial.is_told and trial.costs_budget]
    return {
        "area": area([None if t.fitness is None else t.fitness[0] for t in spent]),
        "search_accuracy": winner.metrics["val_accuracy"],
        "test_accuracy": final.metrics["test_accuracy"],
        "trials": len(spent),
        "rank_correlation": {
            name: found["spearman"]
            for name, found in rank_correlations(
                (trial.metrics, trial.fitness) for trial in spent if trial.fitness is not None
            ).items()
        },
    }


def area(scores: list[float | None]) -> float:
    """0 before the first result."""
    steps = [*best_so_far(scores), (len(scores) + 1, math.nan)]
    weighted = [best * (until - trials) for (trials, best), (until, _) in pairwise(steps)]
    return sum(weighted) / len(scores)


def spread(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "std": round(deviation, 4)}


def summary(courses: list[dict[str, Any]], randoms: list[dict[str, Any]]) -> dict[str, Any]:
    gains = [own["area"] - other["area"] for own, other in zip(courses, randoms, strict=True)]
    gain = spread(gains)
    correlations: dict[str, list[float]] = {}
    for course in courses:
        for name, rho in course["rank_correlation"].items():
            correlations.setdefault(name, []).append(rho)
    scores = [name for name in courses[0] if name != "rank_correlation"]
    return {
        **{name: spread([course[name] for course in courses]) for name in scores},
        "rank_correlation": {name: spread(values) for name, values in correlations.items()},
        "against_random": {
            "mean": gain["mean"],
            "standard_error": round(gain["std"] / math.sqrt(len(gains)), 4),
        },
    }


def main() -> None:
    names = [name for name in candidate_strategies() if name not in ("grid", RANDOM)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--strategies", nargs="+", default=[*names, *VARIANTS], choices=[*strategies, *VARIANTS]
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    with get_context("spawn").Pool(chosen.processes, maxtasksperchild=1) as pool:
        courses = {
            name: pool.map(partial(search, name, chosen.trials), range(chosen.seeds), chunksize=1)
            for name in dict.fromkeys([RANDOM, *chosen.strategies])
        }
    report = {
        "benchmark": "searches",
        "trials": chosen.trials,
        "seeds": chosen.seeds,
        "python": platform.python_version(),
        "torch": version("torch"),
        "strategies": {name: summary(runs, courses[RANDOM]) for name, runs in courses.items()},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
