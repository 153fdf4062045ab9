"""Gradient norm, Abdelfattah et al., ICLR 2021, https://arxiv.org/abs/2101.08134, section 3.1."""

from __future__ import annotations

from torch import nn

from models.proxies import Batch, proxies, weight_gradients


@proxies.register("grad_norm")
def grad_norm(network: nn.Module, batch: Batch) -> float:
    """Sum over the weight tensors of the Euclidean norm of the gradient of a batch's loss."""
    return float(sum(gradient.norm() for _, gradient in weight_gradients(network, batch)))
