"""Every strategy on tables of known results, beside Optuna's samplers in the same run.

    python benchmarks/strategies.py --data DIR [--tables nasbench201-cifar10] [--strategies tpe]
                                    [--queries 300] [--seeds 30] [--processes 1]

DIR holds the tables (`*.npz`). Optuna's samplers run as they come, through `study.ask` and
`study.tell`; a repeat is answered from the first lookup and is no query, for them as for ours, and
a hundred repeats in a row end a seed.
"""

from __future__ import annotations

import argparse
import json
import platform
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import torch

from models.domains import Choice
from search.benchmark import Course, run_on_table, summary
from search.evaluators.tabular import Table
from search.space import SearchSpace
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import Strategy, strategies
from search.trial import Candidate, Trial

TARGETS: dict[str, dict[str, dict[str, float]]] = {
    "nasbench201-cifar10": {
        "regularized_evolution": {"queries_to_top": 115, "final_score_at_100": 94.0},
        "reinforce": {"queries_to_top": 165, "final_score_at_100": 93.9},
        "local_search": {"queries_to_top": 75, "final_score_at_100": 94.15},
        "tpe": {"queries_to_top": 115, "final_score_at_100": 94.1},
        "bananas": {"queries_to_top": 55, "final_score_at_100": 94.25, "found": 29},
    },
    "nasbenchgraph-cora": {"bananas": {"queries_to_top": 130}},
}
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "optuna.RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed),
    "optuna.TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "optuna.NSGAIISampler": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}


class OptunaSampler:
    """A sampler of Optuna with its own study, asked and told in Optuna's own way."""

    def __init__(self, space: SearchSpace, name: str, seed: int) -> None:
        self._space = space
        self._study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](seed))
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        trial = self._trials[number] = self._study.ask()
        values = {}
        for decision in self._space.decisions:
            assert isinstance(decision.domain, Choice)  # noqa: S101 - so are those of a table
            options = decision.domain.options
            values[decision.name] = options[
                trial.suggest_categorical(decision.name, range(len(options)))
            ]
        return self._space.candidate(values)

    def tell(self, trial: Trial) -> None:
        asked = self._trials.pop(trial.number)
        if trial.fitness is None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked, trial.fitness[0])


def run(file: Path, name: str, queries: int, seed: int) -> Course:
    """One seed of one strategy, in a process of its own."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    table = Table.load(file)
    space = table.space()
    strategy: Strategy
    if name in SAMPLERS:
        strategy = OptunaSampler(space, name, seed)
    else:
        strategy = strategies[name](space, strategies[name].Settings(), seed)
    return run_on_table(table, strategy, queries)


def measure(
    files: Sequence[Path], names: Sequence[str], queries: int, seeds: int, processes: int
) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    with get_context("spawn").Pool(processes) as pool:
        for file in files:
            table = Table.load(file)
            results[table.name] = {
                name: {
                    **summary(
                        table, pool.map(partial(run, file, name, queries), range(seeds)), queries
                    ),
                    "target": TARGETS.get(table.name, {}).get(name),
                }
                for name in names
            }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Queries to the best architectures of a table.")
    parser.add_argument("--data", type=Path, required=True, help="folder of tables, *.npz")
    parser.add_argument("--tables", nargs="+", help="names of tables; default: all of the folder")
    parser.add_argument("--strategies", nargs="+", default=[*candidate_strategies(), *SAMPLERS])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.npz"))
    if arguments.tables:
        files = [arguments.data / f"{name}.npz" for name in arguments.tables]
    if unknown := set(arguments.strategies) - {*strategies, *SAMPLERS}:
        parser.error(f"unknown strategies {sorted(unknown)}")
    report = {
        "benchmark": "strategies",
        "seeds": arguments.seeds,
        "python": platform.python_version(),
        "optuna": version("optuna"),
        "tables": measure(
            files, arguments.strategies, arguments.queries, arguments.seeds, arguments.processes
        ),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
