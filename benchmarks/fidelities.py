"""What each fidelity rule saves, and what it loses, over learning curves of real trainings.

    python benchmarks/fidelities.py [--trials 60] [--orders 30] [--datasets wine digits ...]
        [--curves FILE]

For each data set `--trials` random points of its default space are trained to their end, once; the
curves are kept in `--curves`, where they are found again. Each rule is then told the same trials in
`--orders` random orders, two at a time, epoch by epoch. By the first validation metric of the task:

- `epochs`: share of the epochs that were trained.
- `kept`: how often the best of all trials was trained to its end.
- `regret`: what the best completed trial is worse than the best of all, as a share of the distance
  between the best and the median.

Means over the orders with their standard errors.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import torch

from models.architecture import Architecture
from models.datasets import datasets
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.training.trainer import NonFiniteError, train
from search.engine.stages.candidates import CANDIDATE
from search.fidelity import Action, fidelities
from search.objectives import fitness
from search.request.resolve import resolve
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial, TrialState

RULES = (
    {"name": "none"},
    {"name": "median"},
    {"name": "asha"},
    {"name": "asha", "grace_epochs": 4},
    {"name": "curve"},
    {"name": "curve", "probability": 0.2},
)
PARALLEL = 2

Curve = list[float]


def curves_of(dataset: str, trials: int) -> list[Curve]:
    """Fitness after each epoch, bigger is better."""
    resolved = resolve({"dataset": dataset})
    data = datasets[dataset].load()
    found: list[Curve] = []
    number = 0
    while len(found) < trials:
        candidate = resolved.space.sample(rng_for(0, SearchPurpose.EXAMPLE, number))
        number += 1
        try:
            resolved.cost(candidate)
        except InfeasibleError:
            continue
        recipe, architecture = candidate.recipe, candidate.architecture
        network = families[architecture.family].build(architecture, data.task, recipe)
        curve: Curve = []
        try:
            for metrics in train(network, data, recipe, seed=0):
                score = fitness(metrics, resolved.spec.objectives, ())
                curve.append(-math.inf if score is None else score[0])
        except NonFiniteError:
            continue
        found.append(curve)
        print(f"{dataset} {len(found)}/{trials}", file=sys.stderr, flush=True)
    return found


def played(
    rule: dict[str, Any], dataset: str, curves: Sequence[Curve], order: int
) -> dict[str, float]:
    """One search over the curves, `PARALLEL` at a time, whichever trial reports next drawn."""
    objective = resolve({"dataset": dataset}).spec.objectives[0]
    entry = fidelities[rule["name"]]
    longest = max(len(curve) for curve in curves)
    told = entry(entry.Settings(**rule), objective, longest)
    rng = np.random.default_rng(order)
    waiting = rng.permutation(len(curves)).tolist()
    epoch: dict[int, int] = {}
    completed: list[int] = []
    trained = 0
    while waiting or epoch:
        while waiting and len(epoch) < PARALLEL:
            number = waiting.pop()
            epoch[number] = 0
            told.started(number)
        number = sorted(epoch)[rng.integers(len(epoch))]
        epoch[number] += 1
        trained += 1
        is_last = epoch[number] == len(curves[number])
        value = curves[number][epoch[number] - 1]
        verdict = told.reported(number, epoch[number], value, is_last=is_last)
        if is_last or verdict.action is Action.STOP:
            state = TrialState.COMPLETED if is_last else TrialState.PRUNED
            completed += [number] if is_last else []
            del epoch[number]
            told.ended(
                Trial(number, CANDIDATE, Candidate(Architecture("mlp", {}), Recipe()), state)
            )
    ends = [curve[-1] for curve in curves]
    best, reached = max(ends), max((ends[number] for number in completed), default=min(ends))
    return {
        "epochs": trained / sum(map(len, curves)),
        "kept": float(reached == best),
        "regret": (best - reached) / ((best - median(ends)) or 1.0),
    }


def summary(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    return {
        name: {
            "mean": round(fmean(run[name] for run in runs), 4),
            "error": round(stdev(run[name] for run in runs) / len(runs) ** 0.5, 4),
        }
        for name in runs[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--orders", type=int, default=30)
    parser.add_argument(
        "--datasets", nargs="+", default=["wine", "breast_cancer", "diabetes", "digits"]
    )
    parser.add_argument("--curves", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, list[Curve]] = {}
    if options.curves and options.curves.exists():
        known = json.loads(options.curves.read_text("utf-8"))
    result: dict[str, Any] = {}
    for dataset in options.datasets:
        if dataset not in known:
            known[dataset] = curves_of(dataset, options.trials)
            if options.curves:
                options.curves.write_text(json.dumps(known), "utf-8")
        result[dataset] = [
            {
                **rule,
                **summary(
                    [played(rule, dataset, known[dataset], k) for k in range(options.orders)]
                ),
            }
            for rule in RULES
        ]
    print(
        json.dumps(
            {"benchmark": "fidelities", "trials": options.trials, "datasets": result}, indent=2
        )
    )


if __name__ == "__main__":
    main()
