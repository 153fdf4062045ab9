"""Pooling, without parameters. Padding never counts in an average."""

from __future__ import annotations

from torch import nn

from models.operations import operation


@operation("max_pool_3x3", topologies=("darts",))
class MaxPool3x3(nn.MaxPool2d):
    """Maximum over 3x3."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(3, stride=stride, padding=1)


@operation("avg_pool_3x3", topologies=("darts", "nasbench201"))
class AvgPool3x3(nn.AvgPool2d):
    """Mean over 3x3, of the pixels inside the image."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(3, stride=stride, padding=1, count_include_pad=False)
