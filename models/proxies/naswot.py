"""NASWOT, Mellor et al., ICML 2021, https://arxiv.org/abs/2006.04647, equations 1 and 2.

Batch normalisation uses the statistics of the batch, as in the authors' code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from models.proxies import Batch, batch_statistics, proxies

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Hardtanh,
    nn.Sigmoid,
    nn.Tanh,
)
"""The paper has ReLU alone; the others bend at or near 0 too."""


@proxies.register("naswot")
def naswot(network: nn.Module, batch: Batch) -> float:
    """The logarithm of |K|, where K[i, j] counts the units that are on for both samples i and j, or
    off for both. Minus infinity where two samples switch the same units, or nothing is switched,
    or where units belong to the nodes of a graph and not to samples.
    """
    if not isinstance(batch.x, Tensor):
        return -math.inf
    kernel = torch.zeros(len(batch.x), len(batch.x), dtype=torch.float64)

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        on = inputs[0].detach().flatten(1) > 0
        signs: Tensor = 2.0 * on - 1.0  # their product is the agreements less the differences
        kernel.add_((signs @ signs.T + signs.shape[1]) / 2)

    layers = [module for module in network.modules() if isinstance(module, ACTIVATIONS)]
    hooks = [layer.register_forward_pre_hook(count) for layer in layers]
    try:
        with torch.no_grad(), batch_statistics(network) as buffers:
            torch.func.functional_call(network, buffers, (batch.x,))
    finally:
        for hook in hooks:
            hook.remove()
    return float(torch.linalg.slogdet(kernel).logabsdet)
