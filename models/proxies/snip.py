"""SNIP, Lee et al., ICLR 2019, https://arxiv.org/abs/1810.02340, equation 4; summed over the
weights by Abdelfattah et al., ICLR 2021, https://arxiv.org/abs/2101.08134, equation 1.
"""

from __future__ import annotations

from torch import nn

from models.proxies import Batch, proxies, weight_gradients


@proxies.register("snip")
def snip(network: nn.Module, batch: Batch) -> float:
    """Sum of |dL/dw * w|: how much the loss of a batch would change without each weight."""
    pairs = weight_gradients(network, batch)
    return float(sum((weight * gradient).abs().sum() for weight, gradient in pairs))
