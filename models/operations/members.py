"""Several perceptrons as one, which share all weights but scales, biases and the last map.

Gorishniy et al., TabM, ICLR 2025, https://arxiv.org/abs/2410.24210, on the BatchEnsemble of Wen et
al., ICLR 2020, https://arxiv.org/abs/2002.06715. The text of these classes goes into an exported
`model.py`, so they need nothing but torch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SharedLinear(nn.Module):
    """One linear map of all members; each scales what goes in (r) and what comes out (s), and adds
    a bias of its own. With `differ` r is 1 or -1 at random, so that members begin unlike, else 1.

    Shapes:
        (N, members, inputs) -> (N, members, outputs)
    """

    def __init__(self, members: int, inputs: int, outputs: int, differ: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        signs = 2.0 * torch.randint(2, (members, inputs)) - 1
        self.r = nn.Parameter(signs if differ else torch.ones(members, inputs))
        self.s = nn.Parameter(torch.ones(members, outputs))
        bound = 1 / math.sqrt(inputs)
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.linear(x * self.r) * self.s + self.bias
        return outputs


class SharedLayer(nn.Module):
    """A map that members share, normalisation, activation, dropout; with `residual` the input is
    added. Batch statistics are of all members together.

    Shapes:
        (N, members, inputs) -> (N, members, outputs)
    """

    def __init__(
        self,
        linear: SharedLinear,
        activation: nn.Module,
        norm: nn.Module | None = None,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.linear, self.norm, self.activation = linear, norm or nn.Identity(), activation
        self.dropout = nn.Dropout(dropout)
        self.residual = residual
        inputs, outputs = linear.linear.in_features, linear.linear.out_features
        if residual:
            same = inputs == outputs
            self.shortcut = nn.Identity() if same else nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mapped = self.linear(x)
        normed = self.norm(mapped.flatten(0, 1)).view(mapped.shape)
        hidden: Tensor = self.dropout(self.activation(normed))
        return hidden + self.shortcut(x) if self.residual else hidden


class OwnLinear(nn.Module):
    """A linear map of each member.

    Shapes:
        (N, members * inputs) -> (N, members, outputs)
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.members = members
        self.maps = nn.Conv1d(members * inputs, members * outputs, 1, groups=members)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.maps(x.unsqueeze(2))
        return outputs.view(x.shape[0], self.members, outputs.shape[1] // self.members)
