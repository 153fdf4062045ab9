"""Number of parameters: the baseline of every proxy, White et al., "A deeper look at zero-cost
proxies for lightweight NAS", ICLR 2022 blog track.
"""

from __future__ import annotations

from torch import nn

from models.proxies import Batch, proxies


@proxies.register("parameters")
def parameters(network: nn.Module, batch: Batch) -> float:
    """Number of parameters."""
    return float(sum(parameter.numel() for parameter in network.parameters()))
