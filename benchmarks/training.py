"""Images a second of the trainer against loops written by hand, one thread.

    python benchmarks/training.py --data DIR

DIR holds `fashion_mnist.npz`. Two fixed networks: `plain` (three 3x3 convolutions) and
`separable` (depthwise and pointwise ones, which a cell is made of). The loops take turns in a
random order, an epoch each, so that a busy machine slows all of them; a figure is the median over
the rounds, a ratio the median of the rounds' ratios. `wall` is by the clock, `cpu` by the processor
time of this process, which a neighbour disturbs less. Batch 64, momentum 0.9, float32.

- `trainer`: `models.training.trainer.train`, its validation and gradient health in the time
- `indexing`: tensors indexed in place, contiguous images, torch's default optimizer
- `indexing_tuned`: the same with channels last and the fused optimizer: the best loop by hand
- `dataloader`: `DataLoader(TensorDataset(...), shuffle=True)`, contiguous images, default optimizer
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from operator import truediv
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from models.datasets import Dataset
from models.datasets.images import from_arrays
from models.recipe import Recipe
from models.training.trainer import train

BATCH, RATE, MOMENTUM = 64, 0.01, 0.9
CLOCKS = {"wall": perf_counter, "cpu": process_time}
KEPT = 0.99
"""Share of the samples that the trainer trains on; it validates on the others, each epoch."""
TARGETS = {"indexing_tuned": 0.95, "dataloader": 1.4}


def plain() -> nn.Module:
    return nn.Sequential(
        *_block(nn.Conv2d(1, 16, 3, padding=1, bias=False)),
        *_block(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)),
        *_block(nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False)),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def separable() -> nn.Module:
    return nn.Sequential(
        *_block(nn.Conv2d(1, 16, 3, padding=1, bias=False)),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
        *_block(nn.Conv2d(16, 32, 1, bias=False)),
        nn.Conv2d(32, 32, 3, stride=2, padding=1, groups=32, bias=False),
        *_block(nn.Conv2d(32, 32, 1, bias=False)),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def _block(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()


Loop = Iterator[object]
"""Trains one epoch each time it is advanced."""


def by_trainer(network: nn.Module, dataset: Dataset) -> Loop:
    recipe = Recipe(
        epochs=10_000,
        batch_size=BATCH,
        optimizer="momentum",
        momentum=MOMENTUM,
        learning_rate=RATE,
        schedule="constant",
    )
    return train(network, dataset, recipe, seed=0)


def by_indexing(network: nn.Module, dataset: Dataset, *, tuned: bool) -> Loop:
    x, y = dataset.train.x.contiguous(), dataset.train.y
    if tuned:
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, fused=tuned or None)
    for epoch in count():
        network.train()
        total = torch.zeros(())
        for index in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        yield epoch, total.item()


def by_dataloader(network: nn.Module, dataset: Dataset) -> Loop:
    samples = TensorDataset(dataset.train.x.contiguous(), dataset.train.y)
    loader = DataLoader(samples, batch_size=BATCH, shuffle=True)
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    for epoch in count():
        network.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        yield epoch, total


LOOPS: dict[str, Callable[[nn.Module, Dataset], Loop]] = {
    "trainer": by_trainer,
    "indexing": partial(by_indexing, tuned=False),
    "indexing_tuned": partial(by_indexing, tuned=True),
    "dataloader": by_dataloader,
}


def compare(build: Callable[[], nn.Module], dataset: Dataset, rounds: int) -> dict[str, object]:
    """Images a second of each loop, and the trainer's ratio to each of the others."""
    loops = {}
    for name, loop in LOOPS.items():
        torch.manual_seed(0)
        loops[name] = loop(build(), dataset)
        next(loops[name])  # the first epoch allocates and warms up
    spent: dict[str, dict[str, list[float]]] = {
        clock: {name: [] for name in loops} for clock in CLOCKS
    }
    shuffled = Random(0)  # noqa: S311 - only the order of the loops
    for _ in range(rounds):
        for name in shuffled.sample(list(loops), len(loops)):
            start = {clock: read() for clock, read in CLOCKS.items()}
            next(loops[name])
            for clock, read in CLOCKS.items():
                spent[clock][name].append(read() - start[clock])
    return {
        clock: {
            "images_per_second": {
                name: round(len(dataset.train) / median(seconds)) for name, seconds in loop.items()
            },
            "ratio": {
                name: round(median(map(truediv, seconds, loop["trainer"])), 3)
                for name, seconds in loop.items()
                if name != "trainer"
            },
        }
        for clock, loop in spent.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Training throughput against loops by hand.")
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion_mnist.npz")
    parser.add_argument("--images", type=int, default=1_920, help="training images an epoch")
    parser.add_argument("--rounds", type=int, default=25, help="epochs of each loop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(arguments.data / "fashion_mnist.npz", allow_pickle=False) as arrays:
        drawn = round(arguments.images / KEPT)
        dataset = from_arrays(
            "fashion_mnist",
            arrays["x_train"][:drawn],
            arrays["y_train"][:drawn],
            arrays["x_test"],
            arrays["y_test"],
            validation=1 - KEPT,
        )
    networks = {
        build.__name__: compare(build, dataset, arguments.rounds) for build in (plain, separable)
    }
    report = {
        "benchmark": "training",
        "dataset": "fashion_mnist",
        "images": len(dataset.train),
        "rounds": arguments.rounds,
        "batch_size": BATCH,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "targets": TARGETS,
        "networks": networks,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
