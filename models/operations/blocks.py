"""Blocks of staged convolutional networks. All keep odd kernels centred: an image of side H leaves
with ceil(H / stride), but for a convolution without padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class ConvNormActivation(nn.Sequential):
    """Convolution, batch normalisation, activation.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
        with padding 0: floor((H - kernel) / stride) + 1
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        activation: type[nn.Module] = nn.ReLU,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel,
                stride=stride,
                padding=kernel // 2 if padding is None else padding,
                groups=groups,
                bias=not batch_norm,
            ),
            nn.BatchNorm2d(out_channels) if batch_norm else nn.Identity(),
            activation(),
        )


class SqueezeExcite(nn.Module):
    """Scale each channel by what all channels have in the mean. Hu et al., CVPR 2018,
    https://arxiv.org/abs/1709.01507.

    Shapes:
        (N, channels, H, W) -> the same
    """

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(squeezed))


class Residual(nn.Module):
    """Two convolutions beside a shortcut, the basic block of ResNet. He et al., CVPR 2016,
    https://arxiv.org/abs/1512.03385. Squeezed channels: a share of `out_channels`.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        squeeze_excite: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            ConvNormActivation(
                in_channels,
                out_channels,
                kernel,
                stride,
                activation=activation,
                batch_norm=batch_norm,
            ),
            ConvNormActivation(
                out_channels,
                out_channels,
                kernel,
                activation=nn.Identity,
                batch_norm=batch_norm,
            ),
        ]
        if squeeze_excite:
            squeezed = max(1, int(out_channels * squeeze_excite))
            layers.append(SqueezeExcite(out_channels, squeezed, activation))
        self.residual = nn.Sequential(*layers)
        self.shortcut = shortcut(in_channels, out_channels, stride, batch_norm)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return output


class Bottleneck(nn.Module):
    """1x1, k x k with the stride, 1x1, beside a shortcut; the inner width is `out_channels` over
    `expansion`. He et al., CVPR 2016, https://arxiv.org/abs/1512.03385; the stride where Goyal et
    al. 2017, https://arxiv.org/abs/1706.02677, have it. Squeezed channels: a share of
    `out_channels`.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        expansion: int = 4,
        squeeze_excite: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        inner = out_channels // expansion
        layers: list[nn.Module] = [
            ConvNormActivation(
                in_channels,
                inner,
                1,
                activation=activation,
                batch_norm=batch_norm,
            ),
            ConvNormActivation(
                inner,
                inner,
                kernel,
                stride,
                activation=activation,
                batch_norm=batch_norm,
            ),
            ConvNormActivation(
                inner,
                out_channels,
                1,
                activation=nn.Identity,
                batch_norm=batch_norm,
            ),
        ]
        if squeeze_excite:
            squeezed = max(1, int(out_channels * squeeze_excite))
            layers.append(SqueezeExcite(out_channels, squeezed, activation))
        self.residual = nn.Sequential(*layers)
        self.shortcut = shortcut(in_channels, out_channels, stride, batch_norm)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return output


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, depthwise k x k with the stride, linear 1x1; the input
    is added where it has the shape of the output. Sandler et al., CVPR 2018,
    https://arxiv.org/abs/1801.04381. Squeezed channels: a share of `in_channels`, as in
    EfficientNet, Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        expansion: int = 6,
        squeeze_excite: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(
                ConvNormActivation(
                    in_channels,
                    inner,
                    1,
                    activation=activation,
                    batch_norm=batch_norm,
                )
            )
        layers.append(
            ConvNormActivation(
                inner,
                inner,
                kernel,
                stride,
                groups=inner,
                activation=activation,
                batch_norm=batch_norm,
            )
        )
        if squeeze_excite:
            squeezed = max(1, int(in_channels * squeeze_excite))
            layers.append(SqueezeExcite(inner, squeezed, activation))
        layers.append(
            ConvNormActivation(
                inner,
                out_channels,
                1,
                activation=nn.Identity,
                batch_norm=batch_norm,
            )
        )
        self.layers = nn.Sequential(*layers)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x)
        return x + output if self.adds_input else output


class Depthwise(nn.Sequential):
    """Depthwise k x k with the stride, then 1x1. Howard et al. 2017,
    https://arxiv.org/abs/1704.04861. Squeezed channels: a share of `in_channels`.

    Shapes:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        squeeze_excite: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
        batch_norm: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            ConvNormActivation(
                in_channels,
                in_channels,
                kernel,
                stride,
                groups=in_channels,
                activation=activation,
                batch_norm=batch_norm,
            )
        ]
        if squeeze_excite:
            squeezed = max(1, int(in_channels * squeeze_excite))
            layers.append(SqueezeExcite(in_channels, squeezed, activation))
        layers.append(
            ConvNormActivation(
                in_channels,
                out_channels,
                1,
                activation=activation,
                batch_norm=batch_norm,
            )
        )
        super().__init__(*layers)


def shortcut(in_channels: int, out_channels: int, stride: int, batch_norm: bool) -> nn.Module:
    """The input itself, or a 1x1 convolution where the shapes differ."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ConvNormActivation(
        in_channels, out_channels, 1, stride, activation=nn.Identity, batch_norm=batch_norm
    )


@dataclass(frozen=True, slots=True)
class Block:
    """A module class with the constructor `(in_channels, out_channels, kernel, stride=1, *,
    activation=nn.ReLU, batch_norm=True)`, and with keywords for its `options`.
    """

    module: type[nn.Module]
    options: tuple[str, ...]


BLOCKS: Mapping[str, Block] = {
    "conv": Block(ConvNormActivation, ("padding",)),
    "residual": Block(Residual, ("squeeze_excite",)),
    "bottleneck": Block(Bottleneck, ("expansion", "squeeze_excite")),
    "inverted_residual": Block(InvertedResidual, ("expansion", "squeeze_excite")),
    "depthwise": Block(Depthwise, ("squeeze_excite",)),
}
