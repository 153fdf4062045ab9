"""FLOPs of a forward pass of one sample, counted by torch: a multiply-add is two."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.proxies import Batch, evaluating, proxies


@proxies.register("flops")
def flops(network: nn.Module, batch: Batch) -> float:
    """FLOPs of a forward pass of one sample."""
    counter = FlopCounterMode(display=False)
    with evaluating(network), torch.no_grad(), counter:
        network(batch.x[:1])
    return float(counter.get_total_flops())
