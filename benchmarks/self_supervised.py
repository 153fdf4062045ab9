"""A self-supervised start where labels are few: Fashion-MNIST with a tenth of its labels.

    python benchmarks/self_supervised.py --data DIR

DIR holds `fashion_mnist.npz`. One thread. Of the first `--images` training images a tenth, the same
share of each class, keep their labels; all others are in the dataset as `unlabelled`, as an upload
with `x_unlabelled` has them. A fifth of the labelled images is validation, which nothing here looks
at. The same network is trained by the same recipe, seeds and epochs with and without each
pretraining, and scored on the 10,000 test images after the last epoch.

- `cnn`: three residual stages of 16, 32 and 64 channels
- `vit`: four blocks on patches of 4x4 pixels, width 64

`gain` is the mean over seeds of the accuracy with pretraining less that without, `paired_std` its
deviation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from time import process_time
from typing import Any

import numpy as np
import torch

from models.architecture import Architecture
from models.datasets import Dataset
from models.datasets.images import from_arrays
from models.datasets.splits import stratified
from models.domains import Scalar
from models.recipe import Recipe
from models.training.initialization import build
from models.training.pretexts import pretexts
from models.training.trainer import evaluate, train

LABELLED = 0.1
CNN: dict[str, Scalar] = {"stages": 3, "norm": "batch", "head_pool": 1, "head_layers": 0}
for number, width in enumerate((16, 32, 64), 1):
    CNN |= {
        f"stage_{number}_{name}": value
        for name, value in {
            "block": "residual",
            "width": width,
            "depth": 1,
            "kernel": 3,
            "stride": 2,
            "activation": "relu",
            "pool": "none",
            "squeeze_excite": 0.0,
        }.items()
    }
VIT: dict[str, Scalar] = {
    "layers": 4,
    "width": 64,
    "heads": 4,
    "feed_forward": 2,
    "activation": "gelu",
    "norm": "pre",
    "positions": "learned",
    "readout": "mean",
    "patch": 4,
    "dropout": 0.0,
    **{f"layer_{number}_mixer": "attention" for number in range(1, 5)},
}
NETWORKS = {"cnn": Architecture("cnn_stages", CNN), "vit": Architecture("transformer", VIT)}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "cnn": {"optimizer": "momentum", "learning_rate": 0.05, "schedule": "cosine"},
    "vit": {"optimizer": "adamw", "learning_rate": 0.001, "schedule": "warmup_cosine"},
}


def tenth_labelled(folder: Path, images: int) -> Dataset:
    with np.load(folder / "fashion_mnist.npz", allow_pickle=False) as arrays:
        x, y = arrays["x_train"][:images], arrays["y_train"][:images]
        rest, known = stratified(y.astype(np.int64), (LABELLED,), 0)
        return from_arrays(
            "fashion_mnist", x[known], y[known], arrays["x_test"], arrays["y_test"], x[rest]
        )


def trained(name: str, dataset: Dataset, recipe: Recipe, seed: int) -> tuple[float, float, float]:
    """Test accuracy, the last loss of pretraining (0 without) and seconds of processor time."""
    network = build(NETWORKS[name], dataset.task, recipe, seed)
    started = process_time()
    *_, last = train(network, dataset, recipe, seed=seed)
    spent = process_time() - started
    found = evaluate(network, dataset.test, dataset.task, "test")
    return found["test_accuracy"], last.get("pretraining_loss", 0.0), spent


def compare(
    name: str, dataset: Dataset, starts: Sequence[str], seeds: int, fields: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in ("none", *starts):
        recipe = Recipe.model_validate({**RECIPES[name], **fields, "pretraining": start})
        runs = [trained(name, dataset, recipe, seed) for seed in range(seeds)]
        accuracies = [accuracy for accuracy, _, _ in runs]
        found[start] = {
            "test_accuracy": {"mean": fmean(accuracies), "std": stdev(accuracies)},
            "all": accuracies,
            "pretraining_loss": fmean(loss for _, loss, _ in runs),
            "cpu_seconds_a_run": fmean(seconds for _, _, seconds in runs),
        }
        if start != "none":
            gains = [a - b for a, b in zip(accuracies, found["none"]["all"], strict=True)]
            found[start] |= {"gain": fmean(gains), "paired_std": stdev(gains)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="A self-supervised start with few labels.")
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion_mnist.npz")
    parser.add_argument("--images", type=int, default=10_000, help="training images, at most")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--pretraining", nargs="+", choices=pretexts, default=list(pretexts))
    parser.add_argument("--pretraining-epochs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--augmentation", default="shift_flip", help="of the recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = tenth_labelled(arguments.data, arguments.images)
    fields = {
        "epochs": arguments.epochs,
        "pretraining_epochs": arguments.pretraining_epochs,
        "augmentation": arguments.augmentation,
    }
    report = {
        "benchmark": "self_supervised",
        "dataset": "fashion_mnist",
        "samples": dataset.sizes,
        **fields,
        "seeds": arguments.seeds,
        "torch": torch.__version__,
        "networks": {
            name: compare(name, dataset, arguments.pretraining, arguments.seeds, fields)
            for name in arguments.networks
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
