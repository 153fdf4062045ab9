"""Operations of graph networks, by their names in NAS-Bench-Graph, as plain torch modules.

Qin et al., NAS-Bench-Graph, NeurIPS 2022, https://arxiv.org/abs/2206.09166, table 1. One file adds
an operation: under `@message_passing(name)` a module class with the constructor
`(inputs, outputs, **options)`. The text of the class goes into an exported `model.py`, so it needs
nothing but torch and the plain classes beside it.

Every operation maps features first and passes messages afterwards: sums, means and linear maps
commute, and sparse features become dense where they are fewest. `max` takes the largest mapped
neighbour, as in GraphSAGE's pooling, equation 3.

Shapes:
    x: (nodes, inputs), a tensor or `Features` -> (nodes, outputs)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.graph import Features, Graph
from models.registry import Registry

M = TypeVar("M", bound=type[nn.Module])

AGGREGATIONS = ("sum", "mean", "max")


@dataclass(frozen=True, slots=True)
class MessagePassing:
    """`options`: what the module takes beside its widths, of `heads`, `aggregation`, `dropout`,
    `steps`, `teleport`.

    `is_identity`: on mapped features it computes nothing.
    """

    name: str
    module: type[nn.Module]
    options: tuple[str, ...] = ()
    is_identity: bool = False


message_passings: Registry[MessagePassing] = Registry("graph operation", "models.operations")


def message_passing(name: str, *options: str, is_identity: bool = False) -> Callable[[M], M]:
    """Decorator: the class below is the operation `name`; it stays the class that it was."""

    def register(module: M) -> M:
        message_passings.register(name)(MessagePassing(name, module, options, is_identity))
        return module

    return register


class NodeLinear(nn.Linear):
    """A linear map of dense or sparse features, Glorot's weights, zero bias."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor | Features) -> Tensor:
        if isinstance(x, Tensor):
            return functional.linear(x, self.weight, self.bias)
        mapped = x.times(self.weight.t())
        return mapped if self.bias is None else mapped + self.bias


class NodeDropout(nn.Module):
    """Dropout of dense or sparse features: a zero stays one."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor | Features) -> Tensor | Features:
        if isinstance(x, Tensor):
            return functional.dropout(x, self.p, self.training)
        return Features(x.places, functional.dropout(x.values, self.p, self.training))


class DropEdge(nn.Module):
    """A graph without a random share `p` of its links, drawn anew for each pass in training: their
    weight is 0. A node keeps its link to itself. Rong et al., DropEdge, ICLR 2020,
    https://arxiv.org/abs/1907.10903, section 4.1: all layers see the same graph, and what is left
    is normalised.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, graph: Graph) -> Graph:
        if not self.training:
            return graph
        links = graph.links
        ones = torch.ones_like(links.rows, dtype=torch.float32)
        weights = ones if graph.weights is None else graph.weights
        dropped = (torch.rand_like(weights) < self.p) & (links.rows != links.columns)
        weights = weights.masked_fill(dropped, 0)
        return Graph(graph.x, links, graph.picked, graph.graph_of, graph.graphs, weights)


def aggregate(graph: Graph, mapped: Tensor, aggregation: str) -> Tensor:
    """Sum, mean or maximum over the neighbours of each node; 0 where it has none.

    Shapes:
        mapped: (nodes, n) -> the same
    """
    links = graph.links
    if aggregation == "sum":
        return links.product(graph.others(), mapped)
    if aggregation == "mean":
        return links.product(graph.mean(), mapped)
    loops = graph.others()[:, None] == 0
    messages = mapped[links.columns].masked_fill(loops, -torch.inf)
    places = links.rows[:, None].expand_as(messages)
    largest = torch.full_like(mapped, -torch.inf).scatter_reduce(0, places, messages, "amax")
    return largest.masked_fill(largest == -torch.inf, 0.0)


@message_passing("gcn")
class Gcn(nn.Module):
    """Symmetrically normalised mean over neighbours and the node itself. Kipf and Welling, ICLR
    2017, https://arxiv.org/abs/1609.02907, equation 2.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = NodeLinear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        return graph.links.product(graph.symmetric(True), self.linear(x)) + self.bias


@message_passing("gat", "heads", "dropout")
class Gat(nn.Module):
    """Attention over neighbours and the node itself, heads side by side. Velickovic et al., ICLR
    2018, https://arxiv.org/abs/1710.10903, equations 3 and 5; dropout of the attention.
    """

    def __init__(self, inputs: int, outputs: int, heads: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.linear = NodeLinear(inputs, outputs, bias=False)
        self.source = nn.Parameter(torch.empty(heads, outputs // heads))
        self.target = nn.Parameter(torch.empty(heads, outputs // heads))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.source)
        nn.init.xavier_uniform_(self.target)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        links, mapped = graph.links, self.linear(x)
        of_heads = mapped.unflatten(1, (self.heads, -1))
        source, target = (of_heads * self.source).sum(2), (of_heads * self.target).sum(2)
        ends = source.index_select(0, links.columns), target.index_select(0, links.rows)
        scores = functional.leaky_relu(ends[0] + ends[1], 0.2)
        attention = functional.dropout(softmax(graph, scores), self.dropout, self.training)
        sums = [links.product(attention[:, head], of_heads[:, head]) for head in range(self.heads)]
        return torch.cat(sums, 1) + self.bias


def softmax(graph: Graph, scores: Tensor) -> Tensor:
    """Over the links to each node, each as often as its weight says.

    Shapes:
        scores: (links, heads) -> the same
    """
    rows = graph.links.rows
    sums = scores.new_zeros(graph.links.height, scores.shape[1])
    places = rows[:, None].expand_as(scores)
    largest = (sums - torch.inf).scatter_reduce(0, places, scores.detach(), "amax")
    weights = (scores - largest.index_select(0, rows)).exp()
    if graph.weights is not None:
        weights = weights * graph.weights[:, None]
    return weights / sums.index_add(0, rows, weights).index_select(0, rows)


@message_passing("gin", "aggregation")
class Gin(nn.Module):
    """A perceptron with one hidden layer of the sum of a node and its neighbours. Xu et al., ICLR
    2019, https://arxiv.org/abs/1810.00826, equation 4.1 with epsilon 0 (GIN-0).
    """

    def __init__(self, inputs: int, outputs: int, aggregation: str = "sum") -> None:
        super().__init__()
        self.aggregation = aggregation
        self.linear = NodeLinear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.output = NodeLinear(outputs, outputs)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        mapped = self.linear(x)
        hidden = mapped + aggregate(graph, mapped, self.aggregation) + self.bias
        output: Tensor = self.output(functional.relu(hidden))
        return output


@message_passing("sage", "aggregation")
class Sage(nn.Module):
    """A map of the node and one of the mean of its neighbours. Hamilton et al., NeurIPS 2017,
    https://arxiv.org/abs/1706.02216, algorithm 1 without line 7.
    """

    def __init__(self, inputs: int, outputs: int, aggregation: str = "mean") -> None:
        super().__init__()
        self.aggregation = aggregation
        self.root = NodeLinear(inputs, outputs)
        self.neighbours = NodeLinear(inputs, outputs, bias=False)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        found = aggregate(graph, self.neighbours(x), self.aggregation)
        output: Tensor = self.root(x) + found
        return output


@message_passing("cheb")
class Cheb(nn.Module):
    """Chebyshev polynomials of the scaled Laplacian, K = 2, largest eigenvalue 2. Defferrard et
    al., NeurIPS 2016, https://arxiv.org/abs/1606.09375, equation 4.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.root = NodeLinear(inputs, outputs)
        self.neighbours = NodeLinear(inputs, outputs, bias=False)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        found = graph.links.product(graph.symmetric(False), self.neighbours(x))
        output: Tensor = self.root(x) - found
        return output


@message_passing("arma")
class Arma(nn.Module):
    """One stack of one auto-regressive moving average filter. Bianchi et al., TPAMI 2021,
    https://arxiv.org/abs/1901.01343, equation 12; the layer adds the activation.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.root = NodeLinear(inputs, outputs)
        self.neighbours = NodeLinear(inputs, outputs, bias=False)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        found = graph.links.product(graph.symmetric(False), self.neighbours(x))
        output: Tensor = self.root(x) + found
        return output


@message_passing("graph")
class GraphConv(Sage):
    """A map of the node and one of the sum of its neighbours. Morris et al., AAAI 2019 (k-GNN with
    k = 1), https://arxiv.org/abs/1810.02244, equation 5.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, "sum")


@message_passing("linear")
class Linear(nn.Module):
    """A map of each node for itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = NodeLinear(inputs, outputs)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        output: Tensor = self.linear(x)
        return output


@message_passing("skip", is_identity=True)
class Skip(nn.Module):
    """The input as it is; the graph's own features are mapped, without bias, to the width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = NodeLinear(inputs, outputs, bias=False)

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        output: Tensor = self.linear(x)
        return output
