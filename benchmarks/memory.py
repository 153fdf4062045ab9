"""Queries to the best architectures of a table with the memory of a search on another table.

    python benchmarks/memory.py --data DIR --table nasbench201-cifar10
                                [--memory nasbench201-cifar100] [--strategy bananas]
                                [--source bananas] [--queries 300] [--seeds 30]

DIR holds the tables (`*.npz`). The memory of seed S is of one finished search, with the seed
1000 + S and as many queries. Beside the tables named: `none`; `itself`, the same table as if it
were another; `permuted`, a search on it whose results are dealt out among its candidates;
`scrambled`, one whose candidates have the options of each decision exchanged: such searches are
worth nothing. Each search ends at the best 0.1 %; one that never gets there counts with the cap.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from search.benchmark import TOP_FRACTION, run_on_table, top_score
from search.evaluators.tabular import Table
from search.memory import Remembered
from search.recalling import Recalling
from search.request.memory import places, recollections
from search.space import SearchSpace
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import Strategy, strategies
from search.trial import Candidate, Proposal, Trial

NONE, ITSELF, PERMUTED, SCRAMBLED = "none", "itself", "permuted", "scrambled"

Result = tuple[Candidate, float]


class Noted:
    """A strategy whose results are kept, and which is asked no more once `top` is reached."""

    def __init__(self, strategy: Strategy, top: float = math.inf) -> None:
        self._strategy, self._top = strategy, top
        self.results: list[Result] = []

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        if self.results and self.results[-1][1] >= self._top:
            raise StopIteration
        return self._strategy.ask(number, running)

    def tell(self, trial: Trial) -> None:
        if trial.fitness is not None and trial.source is None:
            self.results.append((trial.candidate, trial.fitness[0]))
        self._strategy.tell(trial)


def searched(table: Table, strategy: Strategy, queries: int, top: float) -> list[Result]:
    """The results of a search, to the first that is so good."""
    noted = Noted(strategy, top)
    try:
        run_on_table(table, noted, queries)
    except StopIteration:
        pass
    return noted.results


def plain(table: Table, name: str, seed: int) -> Strategy:
    return strategies[name](table.space(), strategies[name].Settings(), seed)


def permuted(results: Sequence[Result], rng: Random) -> list[Result]:
    scores = [score for _, score in results]
    rng.shuffle(scores)
    return [(candidate, score) for (candidate, _), score in zip(results, scores, strict=True)]


def scrambled(results: Sequence[Result], space: SearchSpace, rng: Random) -> list[Result]:
    others = {}
    for decision in space.decisions:
        options = list(decision.domain.values())
        others[decision.name] = dict(zip(options, rng.sample(options, len(options)), strict=True))
    return [
        (
            space.candidate(
                {name: others[name][value] for name, value in space.values(candidate).items()}
            ),
            score,
        )
        for candidate, score in results
    ]


def remembered(space: SearchSpace, name: str, results: Sequence[Result]) -> Remembered:
    ranked = places([score for _, score in results])
    found = recollections(space, [(results[index][0], place) for index, place in ranked])
    return Remembered(name, name, "", len(results), found)


def queries_to_top(
    load: Callable[[str], Table], arguments: argparse.Namespace, kind: str, seed: int
) -> int:
    """With the memory of this kind; the cap where the top was not reached."""
    table = load(arguments.table)
    space, top = table.space(), top_score(table, TOP_FRACTION)
    memory: list[Remembered] = []
    if kind != NONE:
        source = load(arguments.table if kind in (ITSELF, PERMUTED, SCRAMBLED) else kind)
        results = searched(
            source, plain(source, arguments.source, 1000 + seed), arguments.queries, math.inf
        )
        rng = Random(f"{kind} {seed}")  # noqa: S311 - of a benchmark, no secret
        results = permuted(results, rng) if kind == PERMUTED else results
        results = scrambled(results, space, rng) if kind == SCRAMBLED else results
        memory = [remembered(space, kind, results)]
    strategy = plain(table, arguments.strategy, seed)
    found = searched(
        table, Recalling(strategy, space, memory) if memory else strategy, arguments.queries, top
    )
    return len(found) if found and found[-1][1] >= top else arguments.queries


def spread(values: Sequence[float]) -> dict[str, Any]:
    error = float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "standard_error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description="Queries to the top, with a memory.")
    parser.add_argument("--data", type=Path, required=True, help="folder of tables, *.npz")
    parser.add_argument("--table", required=True)
    parser.add_argument("--memory", nargs="*", default=[])
    parser.add_argument("--strategy", default="bananas", choices=candidate_strategies())
    parser.add_argument("--source", default="bananas", choices=candidate_strategies())
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables: dict[str, Table] = {}

    def load(name: str) -> Table:
        if name not in tables:
            tables[name] = Table.load(arguments.data / f"{name}.npz")
        return tables[name]

    kinds = [NONE, ITSELF, PERMUTED, SCRAMBLED, *arguments.memory]
    found = {
        kind: [queries_to_top(load, arguments, kind, seed) for seed in range(arguments.seeds)]
        for kind in kinds
    }
    report = {
        "benchmark": "memory",
        "table": arguments.table,
        "strategy": arguments.strategy,
        "source": arguments.source,
        "seeds": arguments.seeds,
        "cap": arguments.queries,
        "queries_to_top": {
            kind: {
                **spread(counts),
                "median": float(np.median(counts)),
                "found": sum(count < arguments.queries for count in counts),
                "fewer_than_none": spread(np.subtract(found[NONE], counts).tolist()),
            }
            for kind, counts in found.items()
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
