"""Recurrent layers that torch has not: the cell of DARTS, a graph of gated nodes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

CELL_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
"""What a node of the cell may apply, in the order of the paper."""


class DartsCell(nn.Module):
    """One layer, in one direction, of the recurrent cell of DARTS.

    Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055, section 3.1.2 and the authors' code.
    Node 0 moves the state h towards tanh of a linear map of input and state; node i moves node
    `source` towards `activation` of a linear map of that node; each by its own gate c, s + c * (new
    - s). The next state is the mean of the nodes from 1 on. `nodes` lists (source, activation).

    Shapes:
        (N, steps, inputs) -> (N, steps, hidden)
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        nodes: list[tuple[int, type[nn.Module]]],
        reverse: bool = False,
    ) -> None:
        super().__init__()
        self.hidden, self.reverse = hidden, reverse
        self.input = nn.Linear(inputs, 2 * hidden, bias=False)
        self.state = nn.Linear(hidden, 2 * hidden, bias=False)
        self.sources = [source for source, _ in nodes]
        self.activations = nn.ModuleList(activation() for _, activation in nodes)
        self.maps = nn.ModuleList(nn.Linear(hidden, 2 * hidden, bias=False) for _ in nodes)

    def forward(self, x: Tensor) -> Tensor:
        steps = list(self.input(x).unbind(dim=1))
        state = x.new_zeros(x.shape[0], self.hidden)
        states = []
        for step in reversed(steps) if self.reverse else steps:
            state = self.next(step, state)
            states.append(state)
        return torch.stack(states[::-1] if self.reverse else states, dim=1)

    def next(self, step: Tensor, state: Tensor) -> Tensor:
        """The state after one step.

        Shapes:
            step: (..., 2 * hidden), the mapped input; state: (..., hidden) -> (..., hidden)
        """
        gate, new = (step + self.state(state)).chunk(2, dim=-1)
        nodes = [state + gate.sigmoid() * (new.tanh() - state)]
        for source, activation, linear in zip(
            self.sources, self.activations, self.maps, strict=True
        ):
            before = nodes[source]
            gate, new = linear(before).chunk(2, dim=-1)
            nodes.append(before + gate.sigmoid() * (activation(new) - before))
        return torch.stack(nodes[1:]).mean(dim=0)


class DartsRNN(nn.Module):
    """Layers of one and the same DARTS cell, each with weights of its own; called as `nn.LSTM` is.

    Shapes:
        (N, steps, inputs) -> (N, steps, hidden), of both directions (N, steps, 2 * hidden)
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        nodes: list[tuple[int, type[nn.Module]]],
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.directions = 1 + bidirectional
        self.cells = nn.ModuleList()
        for _ in range(num_layers):
            for reverse in range(self.directions):
                self.cells.append(DartsCell(inputs, hidden, nodes, reverse=bool(reverse)))
            inputs = self.directions * hidden
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        for first in range(0, len(self.cells), self.directions):
            x = self.dropout(x) if first else x
            cells = self.cells[first : first + self.directions]
            x = torch.cat([cell(x) for cell in cells], dim=-1)
        return x, None
