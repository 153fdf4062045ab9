"""Convolutions of DARTS (https://arxiv.org/abs/1806.09055) and NAS-Bench-201
(https://arxiv.org/abs/2001.00326), each with the ReLU before it and the normalisation after it.
"""

from __future__ import annotations

from torch import nn

from models.operations import operation


def norm(channels: int, batch_norm: bool) -> nn.Module:
    """Batch normalisation, or nothing; the convolution before it then has a bias."""
    return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()


class ConvNorm(nn.Sequential):
    """The stem: convolution, normalisation.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        batch_norm: bool = True,
        stride: int = 1,
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=kernel_size // 2,
                bias=not batch_norm,
            ),
            norm(out_channels, batch_norm),
        )


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution, normalisation.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=kernel_size // 2,
                bias=not batch_norm,
            ),
            norm(out_channels, batch_norm),
        )


class DepthwiseSeparable(nn.Sequential):
    """ReLU, depthwise convolution, pointwise convolution, normalisation.

    Shapes:
        (N, channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(
                channels,
                channels,
                kernel_size,
                stride=stride,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                groups=channels,
                bias=False,
            ),
            nn.Conv2d(channels, channels, 1, bias=not batch_norm),
            norm(channels, batch_norm),
        )


@operation("sep_conv_3x3", topologies=("darts",))
class SepConv3x3(nn.Sequential):
    """Two depthwise separable 3x3 convolutions; the first one has the stride."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(
            DepthwiseSeparable(channels, 3, stride, batch_norm=batch_norm),
            DepthwiseSeparable(channels, 3, batch_norm=batch_norm),
        )


@operation("sep_conv_5x5", topologies=("darts",))
class SepConv5x5(nn.Sequential):
    """Two depthwise separable 5x5 convolutions; the first one has the stride."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(
            DepthwiseSeparable(channels, 5, stride, batch_norm=batch_norm),
            DepthwiseSeparable(channels, 5, batch_norm=batch_norm),
        )


@operation("dil_conv_3x3", topologies=("darts",))
class DilConv3x3(DepthwiseSeparable):
    """One depthwise separable 3x3 convolution with dilation 2: a receptive field of 5x5."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(channels, 3, stride, dilation=2, batch_norm=batch_norm)


@operation("dil_conv_5x5", topologies=("darts",))
class DilConv5x5(DepthwiseSeparable):
    """One depthwise separable 5x5 convolution with dilation 2: a receptive field of 9x9."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(channels, 5, stride, dilation=2, batch_norm=batch_norm)


@operation("nor_conv_1x1", topologies=("nasbench201",))
class NorConv1x1(ReLUConvNorm):
    """ReLU, 1x1 convolution, normalisation."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(channels, channels, 1, stride, batch_norm)


@operation("nor_conv_3x3", topologies=("nasbench201",))
class NorConv3x3(ReLUConvNorm):
    """ReLU, 3x3 convolution, normalisation."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(channels, channels, 3, stride, batch_norm)
