"""The residual block that halves the image between the stages of NAS-Bench-201."""

from __future__ import annotations

from torch import Tensor, nn

from models.operations.convolution import ReLUConvNorm


class ResidualReduction(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1 convolution.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool = True) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ReLUConvNorm(in_channels, out_channels, 3, 2, batch_norm),
            ReLUConvNorm(out_channels, out_channels, 3, 1, batch_norm),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.shortcut(x) + self.residual(x)
        return output
