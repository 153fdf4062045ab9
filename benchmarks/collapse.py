"""Plain DARTS on a NAS-Bench-201 cell, with the guard against collapse and without it.

    python benchmarks/collapse.py [--seeds 0 1 2] [--epochs 40] [--final-epochs 10] [--cells 5]
        [--channels 4] [--learning-rate 0.05] [--architecture-learning-rate 0.003]
        [--architecture-weight-decay 0]

On digits, one supernet each, of the same seed; the derived network is trained from scratch, three
times. Deep and narrow, with the weights' rate so high that convolutions lag behind, and with
nothing that pulls the architecture's parameters back: that favours skips. `digits` is small, so
that the architecture takes ten times the paper's rate.

- `skip_share`, `hessian_eigenvalue`: by epoch; the eigenvalue is measured with the guard alone
- `derived`: the operations of the cell that counts, edge by edge
- `ending`, `derived_epoch`, `discretisation_gap`: as in the report
- `test_accuracy`: of the derived network
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from importlib.metadata import version
from typing import Any

import torch

from search.engine.journal import EpochReported, MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import SUPERNET
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.results.supernets import course

GUARDS = {
    "without_guard": {"action": "off"},
    "guard_stops": {"action": "stop"},
    "guard_restarts": {"action": "restart"},
}


def request(options: argparse.Namespace, seed: int, guard: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": "digits",
        "space": {
            "family": "cnn_cell",
            "topology": "nasbench201",
            "channels": options.channels,
            "cells": options.cells,
        },
        "training": {"epochs": 1},
        "strategy": {
            "name": "darts",
            "seeds": 1,
            "epochs": options.epochs,
            "learning_rate": options.learning_rate,
            "architecture_learning_rate": options.architecture_learning_rate,
            "architecture_weight_decay": options.architecture_weight_decay,
            "guard": guard,
        },
        "final": {"seeds": 3, "epochs": options.final_epochs},
        "seed": seed,
    }


def search(options: argparse.Namespace, seed: int, guard: dict[str, Any]) -> dict[str, Any]:
    resolved, journal = resolve(request(options, seed, guard)), MemoryJournal()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run_serial(run, TrainEvaluator.for_search(resolved.spec, folder))
    (supernet,) = (trial for trial in run.trials if trial.kind is SUPERNET)
    curve = [
        (event.epoch, event.metrics, event.derived and event.derived.to_json())
        for event in journal.events
        if isinstance(event, EpochReported) and event.number == supernet.number
    ]
    went = course(supernet.metrics, curve, None, is_running=False)
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    kept = ("ending", "derived_epoch", "discretisation_gap", "skip_share", "hessian_eigenvalue")
    return {
        **{name: went[name] for name in kept},
        "derived": {
            name: value
            for name, value in (supernet.derived.decisions if supernet.derived else {}).items()
            if name.startswith("edge_")
        },
        "test_accuracy": [trial.metrics.get("test_accuracy") for trial in finals],
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=40, help="of a supernet")
    parser.add_argument("--final-epochs", type=int, default=10)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.05, help="of the weights")
    parser.add_argument("--architecture-learning-rate", type=float, default=0.003)
    parser.add_argument("--architecture-weight-decay", type=float, default=0.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = {
        "benchmark": "collapse",
        "settings": vars(options),
        "seeds": [
            {
                "seed": seed,
                **{name: search(options, seed, guard) for name, guard in GUARDS.items()},
            }
            for seed in options.seeds
        ],
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
