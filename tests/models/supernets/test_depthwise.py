"""Depthwise convolutions of supernets against those of torch, in the numbers and the gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.operations import operations
from models.supernets.depthwise import depthwise
from models.supernets.inputs import Input
from models.supernets.joined import join

STRIDES = [1, 2]
NAMES = ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
SIZES = [(3, 4), (7, 7), (8, 6)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", NAMES)
def test_joined_copies_are_the_copies(name: str, stride: int, size: tuple[int, int]) -> None:
    """Outputs, gradients of the input, of the scale and of all weights."""
    torch.manual_seed(0)
    copies = [operations[name].build(4, stride).double() for _ in range(3)]
    joined = join(copies)
    x = images(4, size)
    scale = torch.rand(3, dtype=torch.double).requires_grad_()
    outputs = joined(Input(x), scale, (0, 1, 2))
    expected = torch.cat([copy(x) * part for copy, part in zip(copies, scale, strict=True)], dim=1)
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-9)
    direction = torch.randn_like(outputs)
    found = torch.autograd.grad(outputs, [x, scale, *joined.parameters()], direction)
    weights = [[w for w in copy.parameters() if w.dim() == 4] for copy in copies]
    wanted = torch.autograd.grad(
        expected, [x, scale, *(w for ws in weights for w in ws)], direction
    )
    by_copy = [wanted[2 + i * len(weights[0]) :][: len(weights[0])] for i in range(3)]
    stacked = [torch.stack(parts) for parts in zip(*by_copy, strict=True)]
    torch.testing.assert_close(list(found), [*wanted[:2], *stacked], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stride", STRIDES)
def test_a_wide_kernel_has_second_derivatives(stride: int) -> None:
    x, weight = images(2, (5, 4)), torch.randn(2, 1, 5, 5, dtype=torch.double).requires_grad_()

    def convolved(x: Tensor, weight: Tensor) -> Tensor:
        return depthwise(x, weight, stride)

    assert torch.autograd.gradcheck(convolved, (x, weight))
    assert torch.autograd.gradgradcheck(convolved, (x, weight))


def test_half_precision_reaches_weights_of_full_precision() -> None:
    """Under autocast the kernel is rounded, and its gradient has the type of the weight."""
    x, weight = images(16, (8, 8)).float(), torch.randn(16, 1, 5, 5).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise(x, weight)
    y.float().square().sum().backward()
    found, weight.grad = weight.grad, None
    functional.conv2d(x, weight, None, 1, 2, groups=16).square().sum().backward()
    assert y.dtype is torch.bfloat16 and found.dtype is torch.float32
    assert (found - weight.grad).norm() < 0.02 * weight.grad.norm()  # rounding: 2 ** -8 each


def images(channels: int, size: tuple[int, int]) -> Tensor:
    torch.manual_seed(1)
    x = torch.randn(2, channels, *size, dtype=torch.double)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()
