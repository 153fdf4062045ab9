"""A found MLP beside scikit-learn's MLPClassifier and gradient boosting, on the same split.

    python benchmarks/tabular.py [--datasets breast_cancer wine] [--trials 30] [--seeds 5]

The search sees train and validation. scikit-learn's models have their defaults, but that the
MLPClassifier gets 1,000 iterations to converge; they train on the same train split, standardised in
the same way. Every model is scored once on the test split, on each seed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from models.datasets import Dataset, datasets
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.results.report import final_runs

BASELINES: dict[str, Callable[[int], ClassifierMixin]] = {
    "MLPClassifier": lambda seed: MLPClassifier(max_iter=1000, random_state=seed),
    "GradientBoostingClassifier": lambda seed: GradientBoostingClassifier(random_state=seed),
}


def found(dataset: Dataset, trials: int, seeds: int) -> dict[str, Any]:
    """The winner of one search, chosen by validation loss and retrained on `seeds` seeds."""
    resolved = resolve(
        {
            "dataset": dataset.name,
            "space": {"family": "mlp"},
            "training": {"learning_rate": {"low": 0.0003, "high": 0.03, "log": True}},
            "strategy": {
                "name": "regularized_evolution",
                "population_size": 10,
                "sample_size": 3,
            },
            "objectives": [{"metric": "val_loss", "goal": "minimize"}],
            "budget": {"trials": trials},
            "final": {"seeds": seeds},
        }
    )
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run_serial(run, TrainEvaluator.for_search(resolved.spec, folder))
    (winner,) = run.best
    finals = final_runs(run.trials)[winner.number]
    return {
        **spread([trial.metrics["test_accuracy"] for trial in finals]),
        "parameters": int(winner.metrics["parameters"]),
        "seconds": round(time.monotonic() - started, 1),
    }


def fitted(make: Callable[[int], Any], dataset: Dataset, seeds: int) -> dict[str, Any]:
    train, test = dataset.train, dataset.test
    started = time.monotonic()
    scores = [
        make(seed).fit(train.x.numpy(), train.y.numpy()).score(test.x.numpy(), test.y.numpy())
        for seed in range(seeds)
    ]
    return {**spread(scores), "seconds": round(time.monotonic() - started, 1)}


def spread(scores: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return {
        "test_accuracy": round(statistics.fmean(scores), 4),
        "std": round(deviation, 4),
        "seeds": len(scores),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["breast_cancer", "wine"])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name in chosen.datasets:
        dataset = datasets[name].load()
        results[name] = {
            "samples": dataset.sizes,
            "found mlp": found(dataset, chosen.trials, chosen.seeds),
            **{label: fitted(make, dataset, chosen.seeds) for label, make in BASELINES.items()},
        }
    machine = {"python": platform.python_version(), "processor": platform.machine()}
    versions = {name: version(name) for name in ("torch", "scikit-learn")}
    print(json.dumps({**machine, **versions, "results": results}, indent=2))


if __name__ == "__main__":
    main()
