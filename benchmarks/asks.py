"""How long a strategy takes to propose, by the number of trials that it has been told.

    python benchmarks/asks.py [--strategies bananas] [--told 100 300 1000 2000] [--asks 20]

The space is that of NAS-Bench-201: 15,625 cells. The told trials are distinct samples of it with a
score that depends on the operations, plus noise. `ask_ms` is the median of `asks` proposals, each
after another trial was told, in processor time on one thread; what a strategy puts off until it is
asked counts. `tell_ms` is the mean.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from random import Random
from time import process_time
from typing import Any

import torch

from search.engine.stages.candidates import CANDIDATE
from search.request.resolve import resolve
from search.space import SearchSpace
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Trial, TrialState


def trials_of(space: SearchSpace, count: int) -> list[Trial]:
    found: dict[tuple[str, str], Trial] = {}
    draws = 0
    noise = Random(0)  # noqa: S311 - a benchmark
    while len(found) < count:
        candidate = space.sample(rng_for(1, SearchPurpose.EXAMPLE, draws))
        draws += 1
        keys = space.keys(candidate)
        convolutions = sum("conv" in str(v) for v in candidate.architecture.decisions.values())
        if keys not in found:
            found[keys] = Trial(
                number=len(found),
                kind=CANDIDATE,
                proposal=candidate,
                state=TrialState.COMPLETED,
                architecture_key=keys[0],
                recipe_key=keys[1],
                fitness=(0.1 * convolutions + noise.gauss(0, 0.05),),
            )
    return list(found.values())


def measure(space: SearchSpace, name: str, trials: list[Trial], asks: int) -> dict[str, float]:
    strategy = strategies[name](space, strategies[name].Settings(), 0)
    begun = process_time()
    for trial in trials[:-asks]:
        strategy.tell(trial)
    telling = (process_time() - begun) / (len(trials) - asks)
    seconds = []
    for trial in trials[-asks:]:
        strategy.tell(trial)
        begun = process_time()
        strategy.ask(trial.number + 1, [])
        seconds.append(process_time() - begun)
    return {
        "ask_ms": round(1000 * statistics.median(seconds), 3),
        "tell_ms": round(1000 * telling, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", nargs="+", default=candidate_strategies())
    parser.add_argument("--told", nargs="+", type=int, default=[100, 300, 1000, 2000])
    parser.add_argument("--asks", type=int, default=20)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    body = {
        "dataset": "digits",
        "space": {"family": "cnn_cell", "topology": "nasbench201"},
        "strategy": {"name": "random"},
    }
    space = resolve(body).space
    trials = trials_of(space, max(chosen.told))
    result: dict[str, Any] = {
        name: {told: measure(space, name, trials[:told], chosen.asks) for told in chosen.told}
        for name in chosen.strategies
    }
    report = {"benchmark": "asks", "asks": chosen.asks, "python": platform.python_version()}
    print(json.dumps({**report, "strategies": result}, indent=2))


if __name__ == "__main__":
    main()
