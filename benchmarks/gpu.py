"""What a GPU makes of trainings, of supernets, and of several trials on one card.

    python benchmarks/gpu.py [--quick]

Needs one CUDA device; the data are random images of 1x28x28, all on the card. Loops take turns in a
random order, an epoch each, the device waited for before a clock is read; a figure is the median
over the rounds, a ratio the median of the rounds' ratios.

- `training`: images a second of `trainer` (`models.training.trainer`, its validation and gradient
  health in the time) and of loops by hand: `by_hand`, the best one that is written plainly (samples
  on the card, channels last, the fused optimizer, no waiting); `compiled`, the same with the
  network by `torch.compile`; `dataloader`, `DataLoader(TensorDataset(...))` with pinned memory and
  one copy a step, as tutorials have it. `brought` is the trainer with samples that are not on the
  card, `deterministic` with kernels that give the same bits each time.
- `precision`: the trainer in bfloat16 and float32 on a wider network.
- `supernets`: seconds a step and kernels a step, against the straightforward ones of
  `benchmarks/supernet.py`.
- `packed`: candidates an hour, of processes that share the card, each with its fraction of it
  (`search.evaluators.train`, digits, small cells of two epochs).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import numpy as np
import supernet
import torch
import torch.nn.functional as F
import training
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from models.accelerator import set_deterministic
from models.architecture import Architecture
from models.datasets import Dataset
from models.datasets.images import from_arrays
from models.recipe import Recipe
from models.training import residence
from models.training.trainer import train
from search.engine.stages.candidates import CANDIDATE
from search.evaluators.train import TrainEvaluator
from search.trial import Candidate, Trial, TrialState

CARD = torch.device("cuda", 0)
RATE, MOMENTUM = 0.01, 0.9
VALIDATION = 0.01
PACKED = (1, 2, 4, 8)
TARGETS = {"supernet_ratio": 0.25, "packed_8": 3.0}


def images(number: int) -> Dataset:
    rng = np.random.default_rng(0)
    drawn = round(number / (1 - VALIDATION))
    x = rng.integers(0, 255, (drawn + 100, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, drawn + 100)
    return from_arrays("random", x[:-100], y[:-100], x[-100:], y[-100:], validation=VALIDATION)


def pixels(dataset: Dataset) -> torch.Tensor:
    x = dataset.train.x
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"images are tensors, got {type(x).__name__}")
    return x


def wide() -> nn.Module:
    """Convolutions that fill a card."""
    layers: list[nn.Module] = []
    for before, after in ((1, 64), (64, 128), (128, 128), (128, 256)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


Loop = Iterator[object]
"""Trains one epoch each time it is advanced."""


def by_trainer(
    network: nn.Module, dataset: Dataset, batch: int, *, precision: str = "float32"
) -> Loop:
    recipe = Recipe.model_validate(
        {
            "epochs": 10_000,
            "batch_size": batch,
            "optimizer": "momentum",
            "momentum": MOMENTUM,
            "learning_rate": RATE,
            "schedule": "constant",
            "precision": precision,
        }
    )
    return train(network, dataset, recipe, seed=0, device=CARD)


def brought(network: nn.Module, dataset: Dataset, batch: int) -> Loop:
    """The trainer with its samples in memory."""
    with _no_room():
        loop = by_trainer(network, images(len(dataset.train)), batch)
        yield next(loop)
    yield from loop


def repeatable(network: nn.Module, dataset: Dataset, batch: int) -> Loop:
    loop = by_trainer(network, dataset, batch)
    while True:
        set_deterministic(True)
        try:
            found = next(loop)
        finally:
            set_deterministic(False)
        yield found


def by_hand(network: nn.Module, dataset: Dataset, batch: int, *, compiled: bool = False) -> Loop:
    network = network.to(CARD, memory_format=torch.channels_last)
    x = pixels(dataset).to(CARD, memory_format=torch.channels_last)
    y = dataset.train.y.to(CARD)
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    run = torch.compile(network) if compiled else network
    for epoch in count():
        network.train()
        total = torch.zeros((), device=CARD)
        order = torch.randperm(len(y), device=CARD)
        for index in order[: len(y) // batch * batch].split(batch):
            optimizer.zero_grad()
            loss = F.cross_entropy(run(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        yield epoch, total.item()


def by_dataloader(network: nn.Module, dataset: Dataset, batch: int) -> Loop:
    network = network.to(CARD)
    samples = TensorDataset(pixels(dataset).contiguous(), dataset.train.y)
    loader = DataLoader(samples, batch_size=batch, shuffle=True, pin_memory=True)
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    for epoch in count():
        network.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x.to(CARD)), y.to(CARD))
            loss.backward()
            optimizer.step()
            total += loss.item()
        yield epoch, total


LOOPS: Mapping[str, Callable[[nn.Module, Dataset, int], Loop]] = {
    "trainer": by_trainer,
    "by_hand": by_hand,
    "compiled": partial(by_hand, compiled=True),
    "dataloader": by_dataloader,
    "brought": brought,
    "deterministic": repeatable,
}

PRECISIONS: Mapping[str, Callable[[nn.Module, Dataset, int], Loop]] = {
    "float32": by_trainer,
    "bfloat16": partial(by_trainer, precision="bfloat16"),
}


@contextmanager
def _no_room() -> Iterator[None]:
    before = residence.RESIDENT_SHARE
    residence.RESIDENT_SHARE = 0.0
    try:
        yield
    finally:
        residence.RESIDENT_SHARE = before


def compared(
    build: Callable[[], nn.Module],
    dataset: Dataset,
    batch: int,
    rounds: int,
    loops: Mapping[str, Callable[[nn.Module, Dataset, int], Loop]],
) -> dict[str, Any]:
    """Images a second of each loop, and the first one's ratio to each of the others."""
    running: dict[str, Loop] = {}
    for name, loop in loops.items():
        torch.manual_seed(0)
        running[name] = loop(build(), dataset, batch)
        next(running[name])  # the first epoch allocates, compiles and warms up
    seconds: dict[str, list[float]] = {name: [] for name in running}
    shuffled = Random(0)  # noqa: S311 - only the order of the loops
    for _ in range(rounds):
        for name in shuffled.sample(list(running), len(running)):
            torch.cuda.synchronize()
            started = perf_counter()
            next(running[name])
            torch.cuda.synchronize()
            seconds[name].append(perf_counter() - started)
    first = next(iter(loops))
    return {
        "batch_size": batch,
        "images_per_second": {n: round(len(dataset.train) / median(s)) for n, s in seconds.items()},
        f"{first}_over": {
            name: round(median(b / a for a, b in zip(seconds[first], own, strict=True)), 3)
            for name, own in seconds.items()
            if name != first
        },
    }


SMALL = Architecture(
    "cnn_cell",
    {
        "topology": "nasbench201",
        "nodes": 3,
        "cells": 1,
        "channels": 8,
        "edge_0_1": "nor_conv_3x3",
        "edge_0_2": "skip_connect",
        "edge_1_2": "nor_conv_3x3",
    },
)


def worked(share: float, seconds: float, barrier: Any, results: Any) -> None:
    """In a process of its own: how many trials end within so many seconds."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        evaluator = TrainEvaluator("digits", folder, gpus=share)
        recipe = Recipe(epochs=2, batch_size=64)

        def trained(number: int) -> float:
            trial = Trial(
                number, CANDIDATE, Candidate(SMALL, recipe), TrialState.RUNNING, seed=number
            )
            *_, last = evaluator.evaluate(trial)
            return last.metrics["val_accuracy"]

        trained(0)
        barrier.wait()
        began, done = monotonic(), 0
        while monotonic() - began < seconds:
            trained(1 + done)
            done += 1
        results.put((done, monotonic() - began))


def packed(processes: int, seconds: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    arguments = (1 / processes, seconds, barrier, results)
    workers = [context.Process(target=worked, args=arguments) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    rate = sum(done / spent for done, spent in found)
    return {"processes": processes, "candidates_per_hour": round(3600 * rate)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures of one GPU.")
    parser.add_argument("--quick", action="store_true", help="few rounds: whether all of it runs")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each number of processes")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("needs a CUDA device, and there is none")
    quick = arguments.quick
    rounds, number = (2, 2048) if quick else (arguments.rounds, arguments.images)
    seconds = 2.0 if quick else arguments.seconds
    torch.set_num_threads(1)
    shares = [packed(processes, seconds) for processes in PACKED]
    alone = shares[0]["candidates_per_hour"]
    for share in shares:
        share["times_one"] = round(share["candidates_per_hour"] / alone, 2)
    dataset = images(number)
    report: dict[str, Any] = {
        "benchmark": "gpu",
        "card": torch.cuda.get_device_name(CARD),
        "torch": torch.__version__,
        "images": len(dataset.train),
        "rounds": rounds,
        "targets": TARGETS,
    }

    def part(name: str, value: object) -> None:
        """Told as it ends: a run that is cut short has what it has measured."""
        report[name] = value
        print(json.dumps({name: value}), file=sys.stderr, flush=True)

    part("packed", shares)
    part(
        "training",
        {
            build.__name__: [compared(build, dataset, batch, rounds, LOOPS) for batch in (64, 1024)]
            for build in (training.plain, training.separable)
        },
    )
    part("precision", [compared(wide, dataset, batch, rounds, PRECISIONS) for batch in (64, 1024)])
    supernets = []
    for method, precision in (
        ("darts", "float32"),
        ("darts", "bfloat16"),
        ("darts_second_order", "float32"),
        ("gdas", "float32"),
    ):
        supernets.append(supernet.compare(method, 16, 8, rounds, CARD, precision))
        part("supernets", supernets)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
