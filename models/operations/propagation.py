"""Operations of graph networks that map once and pass messages over several steps.

They see further than a layer of `message_passing` does, for the weights of one map. As there, the
text of a class goes into an exported `model.py`.

Shapes:
    x: (nodes, inputs), a tensor or `Features` -> (nodes, outputs)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.graph import Features, Graph
from models.operations.message_passing import NodeLinear, message_passing


@message_passing("sgc", "steps")
class Sgc(nn.Module):
    """The mean of `gcn` over and over, of one linear map. Wu et al., ICML 2019,
    https://arxiv.org/abs/1902.07153, equation 8; `steps` is K.
    """

    def __init__(self, inputs: int, outputs: int, steps: int = 2) -> None:
        super().__init__()
        self.steps = steps
        self.linear = NodeLinear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        found: Tensor = self.linear(x)
        for _ in range(self.steps):
            found = graph.links.product(graph.symmetric(True), found)
        return found + self.bias


@message_passing("appnp", "steps", "teleport")
class Appnp(nn.Module):
    """Personalised PageRank of one linear map, by power iteration. Gasteiger et al., ICLR 2019,
    https://arxiv.org/abs/1810.05997, equation 5; `steps` is K and `teleport` is alpha.
    """

    def __init__(self, inputs: int, outputs: int, steps: int = 10, teleport: float = 0.1) -> None:
        super().__init__()
        self.steps, self.teleport = steps, teleport
        self.linear = NodeLinear(inputs, outputs)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        mapped: Tensor = self.linear(x)
        found = mapped
        for _ in range(self.steps):
            moved = graph.links.product(graph.symmetric(True), found)
            found = (1 - self.teleport) * moved + self.teleport * mapped
        return found


@message_passing("gcnii", "steps", "teleport", "dropout")
class Gcnii(nn.Module):
    """Layers of `gcn` that keep their first input and little more than the identity of a map. Chen
    et al., ICML 2020, https://arxiv.org/abs/2007.02133, equation 5 with lambda 0.5; `steps` is the
    number of layers and `teleport` is alpha. Each but the last ends in its ReLU and dropout.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        steps: int = 8,
        teleport: float = 0.1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.teleport, self.dropout = teleport, dropout
        self.linear = NodeLinear(inputs, outputs)
        self.maps = nn.ModuleList(nn.Linear(outputs, outputs, bias=False) for _ in range(steps))

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        first = functional.relu(self.linear(x))
        found = first
        for number, linear in enumerate(self.maps, 1):
            if number > 1:
                found = functional.relu(found)
            found = functional.dropout(found, self.dropout, self.training)
            moved = graph.links.product(graph.symmetric(True), found)
            mixed = (1 - self.teleport) * moved + self.teleport * first
            beta = math.log(0.5 / number + 1)
            found = (1 - beta) * mixed + beta * linear(mixed)
        return found
