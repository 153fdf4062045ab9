"""How long a trained network lets its user wait."""

from __future__ import annotations

import statistics
from time import perf_counter

import torch
from torch import nn

from models.task import Task


def latency_ms(
    network: nn.Module, task: Task, device: torch.device, budget_ms: float = 10.0
) -> float:
    """Median milliseconds of a forward pass of one sample in evaluation mode, after a warm-up.

    At least three passes, at most twenty, no new one once `budget_ms` are spent. The weights do
    not matter, so an untrained network may be measured. The network's mode is left as it was.
    """
    was_training = network.training
    network.eval()
    sample = task.zeros(1, device)
    passes: list[float] = []
    with torch.inference_mode():
        network(sample)
        while len(passes) < 3 or (len(passes) < 20 and sum(passes) < budget_ms):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            started = perf_counter()
            network(sample)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            passes.append((perf_counter() - started) * 1e3)
    network.train(was_training)
    return statistics.median(passes)
