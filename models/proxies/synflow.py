"""Synaptic flow, Tanaka et al., NeurIPS 2020, https://arxiv.org/abs/2006.05467, equation 2; summed
over the weights by Abdelfattah et al., ICLR 2021, https://arxiv.org/abs/2101.08134, equation 2.

Normalisation layers pass their input on, as in Abdelfattah et al.; in a new network, batch
normalisation in evaluation mode, as Tanaka et al. have it, does the same but for its epsilon.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.proxies import Batch, evaluating, proxies
from models.training.regularization import NORMALISATION, weights


@proxies.register("synflow")
def synflow(network: nn.Module, batch: Batch) -> float:
    """Sum of dR/dw * w, where R is the sum of the outputs for an input of ones under absolute
    weights, in float64. Of the data only the shape counts.
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    scored = {names[weight] for weight in weights(network)}
    absolute = {
        name: _wide(parameter.detach()).abs().requires_grad_(name in scored)
        for name, parameter in network.named_parameters()
    }
    buffers = {name: _wide(buffer.clone()) for name, buffer in network.named_buffers()}
    layers = [module for module in network.modules() if isinstance(module, NORMALISATION)]
    hooks = [layer.register_forward_hook(_input) for layer in layers]
    try:
        with evaluating(network):
            first = batch.x[:1]
            ones = _wide(torch.ones_like(first)) if isinstance(first, Tensor) else first.ones()
            outputs = torch.func.functional_call(network, absolute | buffers, (ones,))
    finally:
        for hook in hooks:
            hook.remove()
    inputs = [absolute[name] for name in sorted(scored)]
    gradients = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
    return sum(
        float((weight.detach() * gradient).sum())
        for weight, gradient in zip(inputs, gradients, strict=True)
        if gradient is not None
    )


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _input(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return inputs[0]
