"""Graph networks on Cora and MUTAG, beside the published figures.

    python benchmarks/graphs.py --data DIR [--parts presets time search mutag]

DIR holds `cora.npz` and `MUTAG.zip`. One thread. Everything but `time` is scored once on the test
split, after training, by the weights of the lowest validation loss; Cora has the public split.

- `presets`: `gcn`, `gat`, `sgc`, `appnp` and the features alone by their own recipes, test accuracy
  over `--seeds` seeds
- `time`: 200 epochs of `gcn` by the trainer, validation and gradient health in the time, against
  the same network, epochs and validation in PyTorch Geometric on dense features; they take turns,
  and a ratio is that of the medians, by the clock and by the processor time of this process
- `search`: `--trials` trials of the family `gnn`, by validation accuracy alone. One seed and 500
  nodes tell networks apart by two points, no less: the best `--top` are trained anew on `--seeds`
  seeds, and the best mean validation accuracy there is the winner's. The operations are the three
  that Luo et al., NeurIPS 2024, https://arxiv.org/abs/2406.08993, find as good as any when they are
  tuned; dropout and penalty are strong, as 140 labels want it, which first trials have shown too.
  Published, of the same split: GraphNAS 84.3
- `mutag`: 10-fold test accuracy of GIN's network (five layers, sums), each fold with a validation
  part of its own; `published_protocol` picks the one epoch that is best on the mean of the test
  folds, as the paper's 89.4 does, and is no estimate of the error on new data
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median, stdev
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from models.architecture import Architecture
from models.datasets import Dataset
from models.datasets.formats.graph_zip import read_arrays
from models.datasets.graphs import of_graphs, of_nodes
from models.datasets.reference import StoredDataset
from models.datasets.splits import stratified
from models.datasets.stored import save
from models.family import families
from models.presets import preset
from models.recipe import Recipe
from models.storage import sha256_of_file
from models.training.trainer import evaluate, train
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import resolve
from search.results.report import best

PUBLISHED = {
    "gcn": 0.815,
    "gat": 0.830,
    "sgc": 0.810,
    "appnp": 0.833,
    "graphnas": 0.843,
    "gin_mutag": 0.894,
}
TARGETS = {"gcn": 0.815, "gat": 0.825, "time_share": 1 / 8}
ROUNDS = 3
EPOCHS = 300
"""Of a training in the search, at most."""


def trained(
    architecture: Architecture, data: Dataset, recipe: Recipe, seed: int, keep_best: bool = True
) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    torch.manual_seed(seed)
    network = families["gnn"].build(architecture, data.task, recipe)
    return network, list(train(network, data, recipe, seed=seed, keep_best=keep_best))


def tested(architecture: Architecture, data: Dataset, recipe: Recipe, seed: int) -> float:
    network, _ = trained(architecture, data, recipe, seed)
    return evaluate(network, data.test, data.task, "test")["test_accuracy"]


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else 0.0}


def presets_on(data: Dataset, seeds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("gcn", "gat", "sgc", "appnp", "features-alone"):
        known = preset(name)
        recipe = known.recipe_for(data.task)
        scores = [tested(known.architecture, data, recipe, seed) for seed in range(seeds)]
        found[name] = {
            "test_accuracy": spread(scores),
            "published": PUBLISHED.get(name),
            "target": TARGETS.get(name),
            "reached": name not in TARGETS or mean(scores) >= TARGETS[name],
        }
    return found


def dense(arrays: dict[str, Any], data: Dataset, recipe: Recipe) -> Iterator[float]:
    """The same network and recipe by PyTorch Geometric, as its own examples write it."""
    from torch_geometric.nn import GCNConv

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = GCNConv(data.task.input_shape[0], 16, cached=True)
            self.conv2 = GCNConv(16, data.task.outputs, cached=True)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            x = functional.dropout(x, training=self.training)
            x = self.conv1(x, edge_index).relu()
            return self.conv2(functional.dropout(x, training=self.training), edge_index)

    shape = tuple(arrays["x_shape"])
    rows = np.repeat(np.arange(shape[0]), np.diff(arrays["x_indptr"]))
    x = torch.zeros(shape)
    x[rows, arrays["x_indices"]] = torch.from_numpy(arrays["x_data"])
    x /= x.sum(1, keepdim=True).clamp(min=1)
    edges, y = torch.from_numpy(arrays["edge_index"]).long(), torch.from_numpy(arrays["y"]).long()
    seen, held_out = (torch.from_numpy(arrays[name]) for name in ("train_mask", "val_mask"))
    network = Net()
    optimizer = torch.optim.Adam(network.parameters(), recipe.learning_rate, weight_decay=recipe.l2)
    for _ in range(recipe.epochs):
        network.train()
        optimizer.zero_grad()
        functional.cross_entropy(network(x, edges)[seen], y[seen]).backward()
        optimizer.step()
        network.eval()
        with torch.no_grad():
            outputs = network(x, edges)[held_out]
        yield (outputs.argmax(1) == y[held_out]).double().mean().item()


def times(arrays: dict[str, Any], data: Dataset) -> dict[str, Any]:
    known = preset("gcn")
    recipe = known.recipe_for(data.task)
    measured: dict[str, list[tuple[float, float]]] = {"trainer": [], "dense": []}
    accuracy: dict[str, list[float]] = {"trainer": [], "dense": []}
    for seed in range(ROUNDS):
        for name, seconds in measured.items():
            torch.manual_seed(seed)
            wall, cpu = perf_counter(), process_time()
            if name == "dense":
                *_, last = dense(arrays, data, recipe)
            else:
                _, epochs = trained(known.architecture, data, recipe, seed, keep_best=False)
                last = epochs[-1]["val_accuracy"]
            seconds.append((perf_counter() - wall, process_time() - cpu))
            accuracy[name].append(last)
    found: dict[str, Any] = {"val_accuracy": {n: mean(values) for n, values in accuracy.items()}}
    for index, clock in enumerate(("wall", "cpu")):
        seconds = {n: median(pair[index] for pair in pairs) for n, pairs in measured.items()}
        share = seconds["trainer"] / seconds["dense"]
        reached = share <= TARGETS["time_share"]
        found[clock] = {**seconds, "share": share, "reached": reached}
    return {**found, "target_share": TARGETS["time_share"]}


def searched(data: Dataset, strategy: str, trials: int, top: int, seeds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data")
        save(data, file)
        stored = StoredDataset(str(file), sha256_of_file(file))
        facts = DatasetFacts(data.task, data.sizes, data.fingerprint, stored)
        body = {
            "dataset": data.name,
            "space": {
                "family": "gnn",
                "operations": ["gcn", "gat", "sage", "skip"],
                "layers": {"low": 1, "high": 3},
                "hidden": {"choice": [64, 128]},
                "heads": {"choice": [1, 2, 4]},
                "aggregation": "mean",
                "activation": {"choice": ["relu", "elu"]},
                "dropout": {"choice": [0.5, 0.6, 0.7, 0.8]},
                "norm": "none",
                "output": ["gcn", "gat"],
            },
            "training": {
                "epochs": EPOCHS,
                "learning_rate": {"choice": [0.005, 0.01]},
                "l2": {"choice": [5e-4, 1e-3]},
                "early_stopping": 100,
            },
            "strategy": {"name": strategy},
            "budget": {"trials": trials},
            "final": {"top": top, "seeds": seeds, "epochs": EPOCHS},
        }
        resolved = resolve(body, lambda name: facts)
        run = SearchRun(
            resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
        )
        started = perf_counter()
        run_serial(run, TrainEvaluator(stored, folder))
        item, *others = best(resolved.spec, run.trials)
    return {
        "trials": trials,
        "seconds": perf_counter() - started,
        "found": told(item),
        "others": [told(other) for other in others],
        "published": {"graphnas": PUBLISHED["graphnas"]},
    }


def told(item: dict[str, Any]) -> dict[str, Any]:
    finals = item["final_metrics"]
    return {
        "architecture": item["architecture"]["decisions"],
        "search_val_accuracy": item["search_metrics"]["val_accuracy"],
        **{name: finals[name] for name in ("val_loss", "val_accuracy", "test_accuracy")},
    }


def mutag(file: Path, epochs: int) -> dict[str, Any]:
    arrays, *_ = read_arrays(file)
    _, labels = np.unique(arrays["y"], return_inverse=True)
    rest, *folds = stratified(labels, [0.0999] * 10, 0)
    folds = [np.sort(np.r_[fold, rest[i::10]]) for i, fold in enumerate(folds)]
    known = preset("gin")
    curves, honest = [], []
    for number, fold in enumerate(folds):
        others = np.setdiff1d(np.arange(len(labels)), fold)
        inner, held_out = (others[part] for part in stratified(labels[others], [1 / 9], number))
        data = of_graphs("mutag", arrays, sets=[inner, held_out, fold])
        recipe = known.recipe_for(data.task, epochs=epochs)
        honest.append(tested(known.architecture, data, recipe, number))
        data = of_graphs("mutag", arrays, sets=[others, fold, fold])
        _, found = trained(known.architecture, data, recipe, number, keep_best=False)
        curves.append([epoch["val_accuracy"] for epoch in found])
    chosen = int(np.mean(curves, axis=0).argmax())
    return {
        "test_accuracy": spread(honest),
        "published_protocol": spread([curve[chosen] for curve in curves]),
        "published": PUBLISHED["gin_mutag"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the two files")
    known = ["presets", "time", "search", "mutag"]
    parser.add_argument("--parts", nargs="+", choices=known, default=known)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--strategy", default="tpe", help="of the search")
    parser.add_argument("--top", type=int, default=6, help="networks of the search trained anew")
    parser.add_argument("--epochs", type=int, default=100, help="of mutag")
    options = parser.parse_args()
    if "time" in options.parts and find_spec("torch_geometric") is None:
        parser.error("`time` compares with PyTorch Geometric: pip install 'nasmith-server[bench]'")
    torch.set_num_threads(1)
    with np.load(options.data / "cora.npz", allow_pickle=False) as file:
        arrays = dict(file)
    data = of_nodes("cora", arrays)
    found: dict[str, Any] = {}
    if "presets" in options.parts:
        found["presets"] = presets_on(data, options.seeds)
    if "time" in options.parts:
        found["time"] = times(arrays, data)
    if "search" in options.parts:
        found["search"] = searched(
            data, options.strategy, options.trials, options.top, options.seeds
        )
    if "mutag" in options.parts:
        found["mutag"] = mutag(options.data / "MUTAG.zip", options.epochs)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
