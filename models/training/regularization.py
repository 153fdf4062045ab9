"""Penalties and decay of weights.

They apply to weights alone: parameters with two or more axes outside normalisation layers. Biases
and the scales and shifts of normalisation are left free, as in He et al., CVPR 2019,
https://arxiv.org/abs/1812.01187, section 3.1 ("no bias decay"), and so are those of the members of
a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.operations.members import SharedLinear

NORMALISATION = (
    nn.modules.batchnorm._NormBase,  # batch and instance normalisation of any rank
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def weights(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that `l1`, `l2` and `weight_decay` act on, in the network's order."""
    free = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, (*NORMALISATION, SharedLinear))
        for parameter in module.parameters(recurse=False)
    }
    return [
        parameter
        for parameter in network.parameters()
        if parameter.dim() >= 2 and parameter.requires_grad and id(parameter) not in free
    ]


def add_penalty_gradient(parameters: Sequence[nn.Parameter], l1: float, l2: float) -> None:
    """Add to each gradient that of `l1 * sum |w| + l2 / 2 * sum w^2`: l1 sign(w) + l2 w.

    The same as the penalty in the loss, without building its graph. sign(0) is 0, torch's choice
    among the subgradients.
    """
    if not (l1 or l2):
        return
    for parameter in parameters:
        if parameter.grad is None:  # the data did not reach it, the penalty does
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    values: list[Tensor] = [p.detach() for p in parameters]
    if l2:
        torch._foreach_add_(gradients, values, alpha=l2)
    if l1:
        torch._foreach_add_(gradients, torch._foreach_sign(values), alpha=l1)


def decay(parameters: Sequence[nn.Parameter], amount: float) -> None:
    """Decoupled weight decay, w -= amount * w, with amount = learning rate * weight_decay.

    Called before the optimizer's step, as in torch's AdamW; the gradient is that of the weights
    before. Loshchilov and Hutter, ICLR 2019, https://arxiv.org/abs/1711.05101: algorithm 1 and 2
    with the learning rate as the schedule multiplier.
    """
    if amount:
        torch._foreach_mul_([p.detach() for p in parameters], 1.0 - amount)


def soft_threshold(parameters: Sequence[nn.Parameter], amounts: Sequence[Tensor | float]) -> None:
    """The proximal step of `amount * sum |w|`: w = sign(w) max(|w| - amount, 0), after the
    optimizer's step on the loss without that penalty. Beck and Teboulle, SIAM J. Imaging Sciences
    2009, equation 1.5.

    `amounts`: learning rate * l1 * `optimizers.step_scale`, one a parameter, or one a value.
    """
    for parameter, amount in zip(parameters, amounts, strict=True):
        value = parameter.detach()
        value.copy_(value.sign() * (value.abs() - amount).clamp(min=0))
