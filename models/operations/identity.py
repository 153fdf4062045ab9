"""Operations that compute nothing: zero and the skip connection, and how a skip halves an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.operations import Operation, operation, operations
from models.operations.convolution import norm

operations.register("none")(Operation("none", ("darts", "nasbench201"), module=None))


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 for half of the channels each, normalisation.

    The second one is shifted by a pixel both ways, so that it sees other pixels than the first.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool = True) -> None:
        super().__init__()
        half = out_channels // 2
        bias = not batch_norm
        self.even = nn.Conv2d(in_channels, out_channels - half, 1, stride=2, bias=bias)
        self.odd = nn.Conv2d(in_channels, half, 1, stride=2, bias=bias)
        self.norm = norm(out_channels, batch_norm)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        shifted = functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]  # odd sides keep their last pixel
        output: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return output


class SkipReduction(FactorizedReduce):
    """A skip connection of stride 2."""

    def __init__(self, channels: int, stride: int = 2, batch_norm: bool = True) -> None:
        super().__init__(channels, channels, batch_norm)


@operation("skip_connect", topologies=("darts", "nasbench201"), strided=SkipReduction)
class SkipConnect(nn.Identity):
    """The input as it is."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__()
