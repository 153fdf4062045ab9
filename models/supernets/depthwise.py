"""Depthwise convolutions by the kernels that are fast.

On a processor oneDNN has fast kernels for the forward pass of every depthwise convolution, for the
gradient of its input where nothing is dilated, and for the gradient of its weights where,
moreover, the kernel is at most 3 wide and not higher than the image. For all others it takes
kernels for full convolutions, up to 20 times slower. Two identities lead back to the fast ones: a
dilated convolution is one that is not dilated, on the pixels that it sees together (`phases`); and
the gradient of a wide kernel is that of narrow ones, a few columns each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FAST_WIDTH = 3


def is_depthwise(layer: nn.Module) -> bool:
    """One odd square kernel a channel, which keeps the size of an image but for its stride; if
    dilated, with the same stride or none.
    """
    if not isinstance(layer, nn.Conv2d) or layer.bias is not None:
        return False
    (size, _), (stride, _), (dilation, _) = layer.kernel_size, layer.stride, layer.dilation
    padding = dilation * (size // 2)
    return (
        1 < layer.groups == layer.in_channels == layer.out_channels
        and size % 2 == 1
        and stride in ((1, dilation) if dilation > 1 else (1, 2))
        and layer.kernel_size == (size, size)
        and layer.stride == (stride, stride)
        and layer.dilation == (dilation, dilation)
        and layer.padding == (padding, padding)
    )


def depthwise(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """One kernel a channel, its middle on every pixel or every second one.

    Shapes:
        x: (N, C, H, W), weight: (C, 1, K, K), K odd -> (N, C, ceil(H / stride), ceil(W / stride))
    """
    if x.device.type != "cpu" or weight.shape[3] <= FAST_WIDTH:
        return _convolved(x, weight, stride)
    y: Tensor = _Wide.apply(x, weight, stride)  # type: ignore[no-untyped-call]  # torch has none
    return y


def sampled(x: Tensor, first: int, stride: int) -> Tensor:
    """Pixels at the same distance, from `first` on. Unlike `x[:, :, first::stride, first::stride]`,
    its gradient has the channels of a pixel side by side.
    """
    return x.permute(0, 2, 3, 1)[:, first::stride, first::stride].permute(0, 3, 1, 2)


def phases(x: Tensor, dilation: int) -> Tensor:
    """The pixels that a dilated kernel sees together, as images of their own.

    Shapes:
        (N, C, H, W) -> (dilation ** 2 * N, C, ceil(H / dilation), ceil(W / dilation))
    """
    height, width = (-size % dilation for size in x.shape[2:])
    if height or width:
        x = functional.pad(x, (0, width, 0, height))
    count, channels, height, width = x.shape
    height, width = height // dilation, width // dilation
    pixels = x.permute(0, 2, 3, 1).reshape(count, height, dilation, width, dilation, channels)
    parts = pixels.permute(2, 4, 0, 1, 3, 5).reshape(-1, height, width, channels)
    return parts.permute(0, 3, 1, 2)


def whole(parts: Tensor, dilation: int, size: torch.Size) -> Tensor:
    """The images of height and width `size` whose phases are `parts`."""
    _, channels, height, width = parts.shape
    pixels = parts.permute(0, 2, 3, 1).reshape(dilation, dilation, -1, height, width, channels)
    images = pixels.permute(2, 3, 0, 4, 1, 5)
    images = images.reshape(-1, height * dilation, width * dilation, channels)
    return images.permute(0, 3, 1, 2)[:, :, : size[0], : size[1]]


class _Wide(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        context.save_for_backward(x, weight)
        context.stride = stride
        return _convolved(x, weight, stride)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = (saved.to(gradient.dtype) for saved in context.saved_tensors)
        of_x = of_weight = None
        if context.needs_input_grad[0]:
            padding = weight.shape[3] // 2
            of_x, _, _ = _gradients(gradient, x, weight, context.stride, padding, (True, False))
        if context.needs_input_grad[1]:
            of_weight = _by_columns(gradient, x, weight, context.stride)
        return of_x, of_weight, None


def _convolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return functional.conv2d(x, weight, None, stride, weight.shape[3] // 2, groups=len(weight))


def _by_columns(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Of the weight: a few columns of the kernel are a narrower kernel on x shifted."""
    padding, last = weight.shape[3] // 2, stride * (gradient.shape[3] - 1)
    found = []
    for first in range(0, weight.shape[3], FAST_WIDTH):
        columns = weight[:, :, :, first : first + FAST_WIDTH]
        begin = first - padding
        end = begin + last + columns.shape[3]
        shifted = functional.pad(x, (-begin, end - x.shape[3], padding, padding))
        found.append(_gradients(gradient, shifted, columns, stride, 0, (False, True))[1])
    return torch.cat(found, dim=3)


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, of: tuple[bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        (stride, stride),
        (padding, padding),
        (1, 1),
        False,
        (0, 0),
        len(weight),
        (*of, False),
    )
    return found
