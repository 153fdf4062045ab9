"""The score of a network on a split."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from models.datasets import Samples, Split
from models.quiet import give_way
from models.task import Task
from models.training.metrics import Score, scores


def evaluate(
    network: nn.Module,
    split: Split,
    task: Task,
    prefix: Literal["val", "test"],
    *,
    batch_size: int | None = None,
    score: Score | None = None,
) -> dict[str, float]:
    """The task's metrics on `split`, named `val_accuracy` and so on, on the network's device.

    In float32 whatever the precision of training, as the exported network computes (a GPU may
    round the products of its convolutions to TF32, torch's default). The result
    does not depend on `batch_size` (default: what suits the device) beyond rounding. The
    network's mode is left as it was.

    score: a fresh one, on the network's device, that knows the recipe and the unit of values
        (`models.training.criterion.scoring`); default: the task's own, to which targets are as
        they stand in the split.

    Raises:
        ValueError: the split has no sample.
    """
    if not len(split):
        raise ValueError("cannot score an empty split")
    parameter = next(network.parameters(), None)
    device = split.y.device if parameter is None else parameter.device
    batch_size = batch_size or _evaluation_batch(split, task, device)
    score = score or scores[task.name](task.outputs, device)
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(split), batch_size):
                x = channels_last(split.x[start : start + batch_size].to(device))
                score.update(network(x), split.y[start : start + batch_size].to(device))
                give_way()
            return {f"{prefix}_{name}": value for name, value in score.compute().items()}
    finally:
        network.train(was_training)


def _evaluation_batch(split: Split, task: Task, device: torch.device) -> int:
    """Large on a GPU. On a CPU the activations should stay in its caches: a batch of 1024 images
    of 28x28 was measured to take three times as long per image as one of 64.
    """
    if not isinstance(split.x, Tensor):
        return split.x.evaluation_batch
    if device.type == "cuda":
        return 2048
    return min(128, max(16, 2**16 // math.prod(task.input_shape)))


def channels_last(x: Samples) -> Samples:
    """Images in the memory format in which they are trained on, everything else as it is."""
    if isinstance(x, Tensor) and x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x
