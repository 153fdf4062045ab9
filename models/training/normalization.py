"""Statistics of batch normalisation, worked out for the weights that a network has.

In training each layer keeps running means, which lag some 30 steps behind the weights: with eight
steps an epoch a network that separates its classes perfectly is scored as chance. Before a network
is scored or handed out they are worked out anew, as in Wu and Johnson, 2021,
https://arxiv.org/abs/2105.07576, section 3, who find a few thousand samples enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.datasets import Samples

SAMPLES = 2048
"""Of the training split, at most."""

_BATCH = 256


def renew(network: nn.Module, batch: Callable[[Tensor], Samples], order: Tensor) -> None:
    """Replace the running statistics by the means over batches of the samples `order`, at most
    `SAMPLES` of them, as the network sees them when it is scored: without dropout.

    The mode of the network is left as it was. One without such layers costs nothing.

    Shapes:
        order: (N,) indices that `batch` takes
    """
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, _BatchNorm) and layer.track_running_stats
    ]
    if not layers:
        return
    was_training = [module for module in network.modules() if module.training]
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over the batches
        layer.train()
    try:
        with torch.no_grad():
            for part in _parts(order[:SAMPLES]):
                network(batch(part))
    finally:
        network.eval()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module in was_training:
            module.training = True


def _parts(order: Tensor) -> Sequence[Tensor]:
    """Batches of nearly equal size: none is a sliver without a deviation."""
    return order.tensor_split(max(1, -(-len(order) // _BATCH)))
