"""Zero-cost proxies, one a file: how good a network promises to be before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from models.datasets import Dataset, Samples
from models.registry import Registry
from models.training.metrics import scores
from models.training.regularization import weights

BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch of training samples, with the mean loss of the task."""

    x: Samples
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def of(cls, dataset: Dataset, seed: int, size: int = BATCH_SIZE) -> Self:
        """`size` samples of the train split, drawn by `seed`; all of a smaller split."""
        generator = torch.Generator().manual_seed(seed)
        index = torch.randperm(len(dataset.train), generator=generator)[:size]
        x = dataset.train.x.index_select(0, index)
        if isinstance(x, Tensor) and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)  # depthwise convolutions are faster
        return cls(x, dataset.train.y[index], scores[dataset.task.name].loss)


class Proxy(Protocol):
    """What a file registers."""

    def __call__(self, network: nn.Module, batch: Batch) -> float:
        """Bigger promises better; not finite where the proxy has nothing to say.

        `network` has its initial weights, and is left as it was: weights, statistics, gradients
        and mode.
        """


proxies: Registry[Proxy] = Registry("proxy", __name__)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, which draws no dropout; each module's own mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Batch normalisation by the statistics of the batch, as at the first step of training, and no
    dropout. Gives copies of the buffers to run on, so that the running statistics stay.
    """
    with evaluating(network):
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = True
        yield {name: buffer.clone() for name, buffer in network.named_buffers()}


def weight_gradients(network: nn.Module, batch: Batch) -> Sequence[tuple[Tensor, Tensor]]:
    """Each weight (`regularization.weights`) that the loss of the batch depends on, and the
    gradient of the loss.
    """
    found = weights(network)
    with batch_statistics(network) as buffers:
        outputs = torch.func.functional_call(network, buffers, (batch.x,))
        gradients = torch.autograd.grad(batch.loss(outputs, batch.y), found, allow_unused=True)
    return [
        (weight.detach(), gradient)
        for weight, gradient in zip(found, gradients, strict=True)
        if gradient is not None
    ]
