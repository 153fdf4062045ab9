"""What a perceptron may make of each number before its first layer.

Gorishniy et al., NeurIPS 2022, https://arxiv.org/abs/2203.05556. The text of these classes goes
into an exported `model.py`, so they need nothing but torch.

Shapes:
    (N, features) -> (N, features * size)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FREQUENCIES = 16


class Periodic(nn.Module):
    """Sines and cosines of a number at 16 frequencies that are learned, then a linear map and ReLU
    that all numbers share: section 3.3, but that there each number has a map of its own.
    """

    def __init__(self, features: int, size: int, frequencies: int = 16) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(0.1 * torch.randn(features, frequencies))
        self.linear = nn.Linear(2 * frequencies, size)

    def forward(self, x: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * x.unsqueeze(2)
        waves = torch.cat([angles.cos(), angles.sin()], dim=2)
        return functional.relu(self.linear(waves)).flatten(1)


class Piecewise(nn.Module):
    """How far a number has come in each of `size` bins, from 0 to 1, open at both ends: equation 1.
    Numbers are standardised, so that the bins are equally likely under a normal distribution in
    place of those that the data has.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        shares = torch.linspace(0.01, 0.99, size + 1)
        self.register_buffer("edges", torch.special.ndtri(shares))

    def forward(self, x: Tensor) -> Tensor:
        edges = self.get_buffer("edges")
        part = (x.unsqueeze(2) - edges[:-1]) / edges.diff()
        if part.shape[2] == 1:
            return part.flatten(1)
        first, middle, last = part[..., :1], part[..., 1:-1], part[..., -1:]
        within = [first.clamp(max=1), middle.clamp(0, 1), last.clamp(min=0)]
        return torch.cat(within, dim=2).flatten(1)
