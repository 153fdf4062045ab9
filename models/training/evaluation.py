"""The score of a network on a split."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    device = _device_of(network, split)
    batch_size = batch_size or _evaluation_batch(split, task, device)
    score = score or scores[task.name](task.outputs, device)
    with torch.inference_mode():
        _tell(network, split, score.update, device, batch_size)
        return {f"{prefix}_{name}": value for name, value in score.compute().items()}


def outputs_of(network: nn.Module, split: Split, task: Task) -> Tensor:
    """What the network says of a split, as `evaluate` has it.

    Shapes:
        (N, ...) on the CPU
    """
    found: list[Tensor] = []
    device = _device_of(network, split)
    with torch.inference_mode():
        batch_size = _evaluation_batch(split, task, device)
        _tell(network, split, lambda said, _: found.append(said.cpu()), device, batch_size)
        return torch.cat(found)


def _tell(
    network: nn.Module,
    split: Split,
    update: Callable[[Tensor, Tensor], None],
    device: torch.device,
    batch_size: int,
) -> None:
    """What the network says of each batch, in evaluation mode, and what is true of it."""
    was_training = network.training
    network.eval()
    try:
        for start in range(0, len(split), batch_size):
            x = channels_last(split.x[start : start + batch_size].to(device))
            update(network(x), split.y[start : start + batch_size].to(device))
            give_way()
    finally:
        network.train(was_training)


def _device_of(network: nn.Module, split: Split) -> torch.device:
    parameter = next(network.parameters(), None)
    return split.y.device if parameter is None else parameter.device


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
