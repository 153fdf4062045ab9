"""Every strategy on shared weights, beside random search and evolution for the same seconds.

    python benchmarks/one_shot.py --data DIR [--parts digits fashion cora shakespeare]

DIR holds `fashion_mnist.npz`, `cora.npz` and `tinyshakespeare.txt`; digits needs none. One thread.
Seconds are those of this process on the processor, so that a busy machine slows nobody.

- `digits`, `fashion` (10,000 training images): cells of the DARTS topology. A search on shared
  weights is one supernet and the training of what it derives. `random` and `regularized_evolution`
  have the median of these searches' seconds, and compare what they have trained for fewer epochs.
  Every winner is trained anew by the same recipe on `--seeds` seeds.
- `cora`: graph networks in the same way, beside the preset `gcn`, ten seeds each
- `shakespeare`: the recurrent cell of DARTS, found by `darts`, beside an LSTM (the preset) with the
  same number of parameters, both trained for the same seconds by the best of three learning rates

Test scores are those of the epoch with the lowest validation loss. The rate of the architecture's
parameters is ten times the paper's default: a search here has about a tenth of its steps.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from models.architecture import Architecture
from models.cost import cost
from models.datasets import Dataset, text
from models.datasets.graphs import of_nodes
from models.datasets.images import from_arrays
from models.datasets.reference import StoredDataset, load_dataset
from models.datasets.stored import save
from models.families.rnn import RnnSettings
from models.presets import preset
from models.recipe import Recipe
from models.storage import sha256_of_file
from models.training.defaults import default_recipe
from models.training.initialization import build
from models.training.trainer import evaluate, train
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.engine.stages.finals import FINAL
from search.evaluation import Measurement
from search.evaluators.train import TrainEvaluator
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import resolve
from search.results.report import best
from search.trial import SupernetProposal, Trial, TrialState

RATE = {"architecture_learning_rate": 3e-3}
ONE_SHOT: dict[str, dict[str, Any]] = {
    "darts": {"name": "darts", **RATE},
    "darts, second order": {"name": "darts", "order": "second", **RATE},
    "gdas": {"name": "gdas", **RATE},
    "pc_darts": {"name": "pc_darts", **RATE},
    "enas": {"name": "enas"},
    "random_sharing": {"name": "random_sharing"},
}
BLACK_BOX: dict[str, dict[str, Any]] = {
    "random": {"name": "random"},
    "regularized_evolution": {
        "name": "regularized_evolution",
        "population_size": 10,
        "sample_size": 3,
    },
}
IMAGES, VALIDATION = 10_000, 2_500
GRAPH_SPACE = {
    "family": "gnn",
    "layers": {"low": 1, "high": 3},
    "hidden": 64,
    "heads": 4,
    "aggregation": "mean",
    "norm": "none",
    "dropout": 0.6,
}
GRAPH_SEEDS = 10
RATES = (0.002, 0.005, 0.01)


class Metered:
    """Counts the seconds of a search's trials, and ends the search when `limit` is reached."""

    run: SearchRun

    def __init__(self, evaluator: TrainEvaluator, limit: float) -> None:
        self._evaluator, self._limit, self.seconds = evaluator, limit, 0.0

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        epochs = self._evaluator.evaluate(trial)
        while True:
            started = process_time()
            measured = next(epochs, None)
            if trial.kind is not FINAL:
                self.seconds += process_time() - started
            if measured is None:
                return
            yield measured
            if trial.kind is not FINAL and self.seconds > self._limit:
                self.run.stop_searching("its seconds are spent")


def searched(
    dataset: Dataset,
    space: Mapping[str, Any],
    strategy: Mapping[str, Any],
    changes: Mapping[str, Any],
    seconds: float = math.inf,
) -> dict[str, Any]:
    """One search from its first trial to the final trainings of its winner."""
    with tempfile.TemporaryDirectory() as folder:
        stored = stored_in(folder, dataset)
        facts = DatasetFacts(dataset.task, dataset.sizes, dataset.fingerprint, stored)
        body = {
            "dataset": dataset.name,
            "space": space,
            "strategy": strategy,
            "budget": {"trials": 10_000},
            **changes,
        }
        resolved = resolve(body, lambda name: facts)
        spec = resolved.spec
        run = SearchRun(spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost)
        evaluator = Metered(TrainEvaluator.for_search(spec, folder, stored), seconds)
        evaluator.run = run
        run_serial(run, evaluator)
        found: dict[str, Any] = {
            "search_seconds": round(evaluator.seconds, 1),
            "trials": sum(trial.kind is CANDIDATE for trial in run.trials),
        }
        if run.failed_reason is not None:
            return found | {"failed": run.failed_reason}
        (item,) = best(spec, run.trials)
        finals = item["final_metrics"]
        found |= {name: finals[name] for name in ("val_accuracy", "test_accuracy")}
        shared = [trial for trial in run.trials if trial.is_supernet]
        for trial in shared:
            if trial.state is TrialState.COMPLETED:
                names = ("supernet_accuracy", "derived_accuracy")
                found |= {name: round(trial.metrics[name], 4) for name in names}
        decisions = item["architecture"]["decisions"]
        return found | {
            "search_val_accuracy": item["search_metrics"]["val_accuracy"],
            "parameters": int(item["search_metrics"]["parameters"]),
            "skips": sum(value in ("skip_connect", "skip") for value in decisions.values()),
            "architecture": decisions,
        }


def compared(
    dataset: Dataset,
    space: Mapping[str, Any],
    one_shot: Mapping[str, Mapping[str, Any]],
    black_box: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> dict[str, Any]:
    """`shared`: settings of every supernet."""
    found: dict[str, Any] = {"samples": dataset.sizes, "space": dict(space)}
    for name, strategy in one_shot.items():
        found[name] = searched(dataset, space, {**strategy, **shared, "seeds": 1}, changes)
        told(name, found[name])
    seconds = statistics.median(found[name]["search_seconds"] for name in one_shot)
    for name, strategy in black_box.items():
        found[name] = searched(dataset, space, strategy, changes, seconds)
        told(name, found[name])
    return found


def told(name: str, result: Mapping[str, Any]) -> None:
    """Progress, on the standard error."""
    short = {key: value for key, value in result.items() if key != "architecture"}
    print(name, json.dumps(short), file=sys.stderr, flush=True)


def images(dataset: Dataset, options: argparse.Namespace, size: Sequence[int]) -> dict[str, Any]:
    """`size`: channels, epochs of a supernet, of a candidate and of the winners."""
    channels, epochs, trial_epochs, finals = size
    space = {"family": "cnn_cell", "nodes": options.nodes, "cells": options.cells}
    changes = {
        "training": {"epochs": trial_epochs},
        "final": {"top": 1, "seeds": options.seeds, "epochs": finals},
    }
    chosen = {name: dict(ONE_SHOT[name]) for name in options.strategies}
    if "pc_darts" in chosen:
        chosen["pc_darts"]["partial"] = max(1, channels // 2)
    shared = {"epochs": epochs}
    return compared(dataset, space | {"channels": channels}, chosen, BLACK_BOX, changes, shared)


def fashion(file: Path) -> Dataset:
    count = IMAGES + VALIDATION
    with np.load(file, allow_pickle=False) as arrays:
        return from_arrays(
            "fashion_mnist",
            arrays["x_train"][:count],
            arrays["y_train"][:count],
            arrays["x_test"],
            arrays["y_test"],
            validation=VALIDATION / count,
        )


def cora(file: Path, epochs: int) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as arrays:
        dataset = of_nodes("cora", dict(arrays))
    one_shot = {name: ONE_SHOT[name] for name in ("darts", "gdas")}
    changes = {
        "training": {"learning_rate": 0.01, "l2": 1e-3, "early_stopping": 50},
        "objectives": [{"metric": "val_loss", "goal": "minimize"}],
        "final": {"top": 1, "seeds": GRAPH_SEEDS},
    }
    random = {"random": BLACK_BOX["random"]}
    found = compared(dataset, GRAPH_SPACE, one_shot, random, changes, {"epochs": epochs})
    known = preset("gcn")
    recipe = known.recipe_for(dataset.task)
    scores = [
        trained(known.architecture, dataset, recipe, seed)["test_accuracy"]
        for seed in range(GRAPH_SEEDS)
    ]
    found["preset gcn"] = {
        "test_accuracy": {"mean": statistics.fmean(scores), "std": statistics.stdev(scores)}
    }
    return found


def shakespeare(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    content = file.read_text("utf-8")
    dataset, few = (
        text.language_modeling("tinyshakespeare", part, window=64, validation=0.1, test=0.1)
        for part in (content, content[: options.characters])
    )
    found = recurrent_cell(few, options)
    cell = Architecture("rnn", found["architecture"])
    for name, one in (("found cell", cell), ("lstm", lstm_of(parameters(cell, dataset), dataset))):
        found[name] = timed(one, dataset, few, options)
        told(name, found[name])
    return found


def recurrent_cell(dataset: Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """What one supernet of recurrent cells derives."""
    space = RnnSettings(
        family="rnn",
        cell="darts",
        layers=1,
        hidden=options.hidden,
        nodes=options.cell_nodes,
        dropout=0.0,
    )
    settings = {"optimizer": "adam", "learning_rate": options.cell_rate}
    proposal = SupernetProposal(
        "darts", {"epochs": options.cell_epochs, "seed": 0, **settings, **RATE}
    )
    trial = Trial(0, SUPERNET, proposal, TrialState.RUNNING)
    with tempfile.TemporaryDirectory() as folder:
        stored = stored_in(folder, dataset)
        started = process_time()
        *_, last = TrainEvaluator(stored, folder, space=space).evaluate(trial)
    return {
        "search_seconds": round(process_time() - started, 1),
        **{name: last.metrics[name] for name in ("supernet_loss", "derived_loss")},
        "architecture": dict(last.derived.decisions),
    }


def stored_in(folder: str, dataset: Dataset) -> StoredDataset:
    file = Path(folder, "data")
    save(dataset, file)
    return StoredDataset(str(file), sha256_of_file(file))


def parameters(architecture: Architecture, dataset: Dataset) -> float:
    return cost(architecture, dataset.task, default_recipe(dataset.task.name))["parameters"]


def lstm_of(wanted: float, dataset: Dataset) -> Architecture:
    """The preset `lstm` with one layer, and the width that comes nearest to `wanted` parameters."""
    known = preset("lstm").architecture
    sizes = [
        Architecture("rnn", {**known.decisions, "layers": 1, "hidden": hidden})
        for hidden in range(8, 513, 4)
    ]
    return min(sizes, key=lambda one: abs(parameters(one, dataset) - wanted))


def timed(
    architecture: Architecture, dataset: Dataset, few: Dataset, options: argparse.Namespace
) -> dict[str, Any]:
    """Trained for `--seconds` in whole epochs of a part of the text, medians over the seeds."""
    recipe = default_recipe(dataset.task.name).model_copy(update={"schedule": "cosine"})
    losses: dict[float, float] = {}
    for rate in RATES:
        short = recipe.model_copy(update={"epochs": options.rate_epochs, "learning_rate": rate})
        started = process_time()
        losses[rate] = trained(architecture, few, short, 0)["val_loss"]
        epoch = (process_time() - started) / options.rate_epochs
    epoch *= len(dataset.train) / len(few.train)
    chosen = min(losses, key=losses.__getitem__)
    epochs = max(1, round(options.seconds / epoch))
    recipe = recipe.model_copy(update={"epochs": epochs, "learning_rate": chosen})
    started = process_time()
    runs = [trained(architecture, dataset, recipe, seed) for seed in range(options.text_seeds)]
    seconds = (process_time() - started) / len(runs)
    return {
        "parameters": int(parameters(architecture, dataset)),
        "learning_rate": chosen,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "test_bits_per_character": round(
            statistics.median(run["test_loss"] for run in runs) / math.log(2), 4
        ),
        "architecture": dict(architecture.decisions),
    }


def trained(
    architecture: Architecture, dataset: Dataset, recipe: Recipe, seed: int
) -> dict[str, float]:
    network = build(architecture, dataset.task, recipe, seed)
    *_, last = train(network, dataset, recipe, seed=seed, keep_best=True)
    return last | evaluate(network, dataset.test, dataset.task, "test")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ["digits", "fashion", "cora", "shakespeare"]
    parser.add_argument("--data", type=Path)
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--strategies", nargs="+", choices=ONE_SHOT, default=list(ONE_SHOT))
    parser.add_argument("--seeds", type=int, default=3, help="of the winners, on images")
    parser.add_argument("--nodes", type=int, default=2, help="of a cell")
    parser.add_argument("--cells", type=int, default=3)
    sizes = "channels, epochs of a supernet, of a candidate and of the winners"
    parser.add_argument("--digits", type=int, nargs=4, default=[8, 25, 4, 20], help=sizes)
    parser.add_argument("--fashion", type=int, nargs=4, default=[4, 2, 1, 3], help=sizes)
    parser.add_argument("--graph-epochs", type=int, default=100, help="of a supernet")
    parser.add_argument("--cell-epochs", type=int, default=10, help="of the recurrent supernet")
    parser.add_argument("--characters", type=int, default=200_000, help="of the text, to search")
    rate = "of its weights, by Adam, at the start"
    parser.add_argument("--cell-rate", type=float, default=0.003, help=rate)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--cell-nodes", type=int, default=4)
    parser.add_argument("--rate-epochs", type=int, default=1, help="to choose a learning rate by")
    parser.add_argument("--seconds", type=float, default=90, help="of a training on the text")
    parser.add_argument("--text-seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.data is None and set(options.parts) - {"digits"}:
        parser.error("all parts but digits need --data")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    if "digits" in options.parts:
        results["digits"] = images(load_dataset("digits"), options, options.digits)
    if "fashion" in options.parts:
        dataset = fashion(options.data / "fashion_mnist.npz")
        results["fashion"] = images(dataset, options, options.fashion)
    if "cora" in options.parts:
        results["cora"] = cora(options.data / "cora.npz", options.graph_epochs)
    if "shakespeare" in options.parts:
        results["shakespeare"] = shakespeare(options.data / "tinyshakespeare.txt", options)
    print(json.dumps({"benchmark": "one_shot", "torch": torch.__version__, **results}, indent=2))


if __name__ == "__main__":
    main()
