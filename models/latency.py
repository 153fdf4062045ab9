"""How long a trained network lets its user wait."""

from __future__ import annotations

import math
import resource
import statistics
from collections.abc import Sequence
from time import perf_counter

import torch
from torch import nn

from models.quiet import alone
from models.task import Task

WARM_UPS = 3
LEAST_PASSES, MOST_PASSES, ROUND_MS = 3, 30, 10.0
"""Of a round: no new pass once there are so many, or so much is spent on those that count."""
LONGEST_MS = 100.0
"""No new pass and no new round after it: others hold still meanwhile."""
SPREAD = 0.1
"""Half of the passes of a round are within so much of its median, each way, or it is repeated."""


def latency_ms(network: nn.Module, task: Task, device: torch.device) -> float:
    """Median milliseconds of a forward pass of one sample in evaluation mode, warm, while no other
    trial of this machine runs (`models.quiet`).

    A pass in which another process got the processor does not count where there is another one.
    Where those of a round are few, or differ much, there is another round; what disturbs a pass
    makes it longer, so the lowest median is the one. The weights do not matter, so an untrained
    network may be measured. The network's mode is left as it was.
    """
    was_training = network.training
    network.eval()
    sample = task.zeros(1, device)
    with torch.inference_mode():
        for _ in range(WARM_UPS):
            network(sample)
        with alone():
            network(sample)  # the caches are those of others, who have just worked
            medians: list[float] = []
            deadline = perf_counter() + LONGEST_MS / 1e3
            while not medians or perf_counter() < deadline:
                passes = _round(network, sample, device, deadline)
                medians.append(statistics.median(passes))
                if _spread(passes) <= SPREAD:
                    break
    network.train(was_training)
    return min(medians)


def _round(
    network: nn.Module, sample: object, device: torch.device, deadline: float
) -> Sequence[float]:
    """Milliseconds of each pass that counts."""
    passes: list[float] = []
    undisturbed: list[float] = []
    while len(passes) < LEAST_PASSES or (
        len(undisturbed) < MOST_PASSES and sum(undisturbed) < ROUND_MS and perf_counter() < deadline
    ):
        switches, started = _switches(), _now(device)
        network(sample)
        passes.append((_now(device) - started) * 1e3)
        if _switches() == switches:
            undisturbed.append(passes[-1])
    return undisturbed or passes


def _switches() -> int:
    """How often the kernel has given the processor of a thread of this process to another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _now(device: torch.device) -> float:
    """Once the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def _spread(passes: Sequence[float]) -> float:
    """Half the distance of the quartiles, as a share of the median; infinite of too few."""
    if len(passes) < LEAST_PASSES:
        return math.inf
    low, middle, high = statistics.quantiles(passes, n=4)
    return (high - low) / 2 / middle
