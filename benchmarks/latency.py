"""The latency of one network, measured alone and beside trials of the same machine.

    python benchmarks/latency.py --trials 2 --rounds 30

The network is measured in each of four ways in turn, so that what else the machine does slows all
of them: `alone`, while the trials rest; `beside`, while they train and give way (`models.quiet`),
as in a search; `unasked`, while they train and nobody asks them to; `plain`, the same by the median
of at most 20 passes in 10 ms, whatever disturbs them. A trial trains a small convolutional network
on the digits with one thread, in a process of its own.

`ms` is by way the median and the quartiles of the rounds; `ratio` the median over the rounds of the
way's value to that of `alone`. `cost`: what a measurement takes from each trial (`stall_ms`), from
whoever measures (`wait_ms`), and what a step pays for looking at the door (`look_ns`).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from random import Random
from time import perf_counter, sleep
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from models import latency
from models.architecture import Architecture
from models.datasets import datasets
from models.domains import Scalar
from models.family import families
from models.quiet import at_work, give_way, waited_seconds
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import build
from models.training.trainer import train

SETTLE_SECONDS = 0.2


def architecture(channels: int) -> Architecture:
    """The same cell at every call."""
    family, task = families["cnn_cell"], datasets["digits"].load().task
    settings = family.Settings.model_validate({"channels": channels, "cells": 3, "nodes": 3})
    rng, values = Random(3), dict[str, Scalar]()  # noqa: S311 - not for secrets
    for decision in family.decisions(settings, task):
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    return Architecture("cnn_cell", values)


def busy(seed: int, trains: Event, stalled: Any) -> None:
    """A trial that trains while it may, and tells how long it has waited for measurements."""
    torch.set_num_threads(1)
    dataset, recipe = datasets["digits"].load(), Recipe(epochs=1, batch_size=64)
    for number in count():
        network = build(architecture(8), dataset.task, recipe, seed + number)
        for _ in at_work(train(network, dataset, recipe, seed=seed)):
            stalled.value = waited_seconds()
            trains.wait()


@contextmanager
def unasked() -> Iterator[bool]:
    yield False


def plain(network: nn.Module, task: Task) -> float:
    """One warm-up, and the median of the passes as they come."""
    sample, passes = task.zeros(1), list[float]()
    network.eval()
    with torch.inference_mode():
        network(sample)
        while len(passes) < 3 or (len(passes) < 20 and sum(passes) < 10):
            began = perf_counter()
            network(sample)
            passes.append((perf_counter() - began) * 1e3)
    return statistics.median(passes)


def look_ns(looks: int = 200_000) -> float:
    """Of a call between two steps, the looks at the door among them."""

    def steps() -> Iterator[float]:
        began = perf_counter()
        for _ in range(looks):
            give_way()
        yield (perf_counter() - began) / looks * 1e9

    return next(at_work(steps()))  # type: ignore[arg-type]  # a generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    processes = get_context("spawn")
    trains = processes.Event()
    stalls = [processes.Value("d", 0.0) for _ in range(options.trials)]
    trials = [
        processes.Process(target=busy, args=(seed, trains, stalled), daemon=True)
        for seed, stalled in enumerate(stalls)
    ]
    task = datasets["digits"].load().task
    network = build(architecture(16), task, Recipe(), 0)
    measure: Callable[[], float] = partial(latency.latency_ms, network, task, torch.device("cpu"))
    found: dict[str, list[float]] = {"alone": [], "beside": [], "unasked": [], "plain": []}
    waits, ways, rng = [], list(found), Random(0)  # noqa: S311 - not for secrets
    for trial in trials:
        trial.start()
    trains.set()
    sleep(15)  # until they are under way
    before = [stalled.value for stalled in stalls]
    for _ in range(options.rounds):
        rng.shuffle(ways)
        for way in ways:
            trains.clear() if way == "alone" else trains.set()
            sleep(SETTLE_SECONDS)
            if way == "plain":
                found[way].append(plain(network, task))
                continue
            if way == "unasked":
                with patch.object(latency, "alone", unasked):
                    found[way].append(measure())
                continue
            waited = waited_seconds()
            found[way].append(measure())
            if way == "beside":
                waits.append((waited_seconds() - waited) * 1e3)
    trains.set()
    sleep(1)
    stalled = [value.value - old for value, old in zip(stalls, before, strict=True)]
    for trial in trials:
        trial.kill()
        trial.join()
    ratios = {
        way: statistics.median(a / b for a, b in zip(values, found["alone"], strict=True))
        for way, values in found.items()
    }
    report = {
        "trials": options.trials,
        "rounds": options.rounds,
        "ms": {way: statistics.quantiles(values, n=4) for way, values in found.items()},
        "ratio": ratios,
        "cost": {
            "stall_ms": statistics.fmean(stalled) / (2 * options.rounds) * 1e3,
            "wait_ms": statistics.median(waits),
            "look_ns": look_ns(),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
