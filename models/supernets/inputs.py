"""What all operations on the edges from one node see, in each form that one of them takes."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from models.supernets.depthwise import phases, sampled


class Input:
    """Each form is computed once, when it is first asked for.

    Shapes:
        x: (N, C, H, W)
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self._copies: dict[tuple[int, int, int], Tensor] = {}

    @cached_property
    def rectified(self) -> Tensor:
        return functional.relu(self.x)

    def copies(self, count: int, dilation: int = 1, stride: int = 1) -> Tensor:
        """The channels of `rectified`, `count` times. With a dilation, in phases; a stride of the
        same size leaves the first phase alone.
        """
        key = (count, dilation, stride if dilation > 1 else 1)
        if key not in self._copies:
            x = self.rectified
            if 1 < dilation == stride:
                x = sampled(x, 0, stride)
            elif dilation > 1:
                x = phases(x, dilation)
            self._copies[key] = torch.cat([x] * count, dim=1) if count > 1 else x
        return self._copies[key]
