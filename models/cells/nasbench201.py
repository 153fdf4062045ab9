"""NAS-Bench-201 cells, Dong & Yang, ICLR 2020, https://arxiv.org/abs/2001.00326, section 2.

Every pair of nodes has an edge with an operation; a node sums its edges; node 0 is the cell's input
and the last node its output. Three stages of equal cells with C, 2C and 4C channels, a residual
block of stride 2 between stages, batch normalisation and ReLU before the pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Decision
from models.cells import Frame, Nodes, Term, halved, live
from models.cells.text import (
    call,
    edge,
    edge_lines,
    head_lines,
    node_lines,
    operation_classes,
    pool_text,
)
from models.decisions import Values, condition, domain_values, integer, option
from models.domains import Choice, Range, Scalar
from models.family import Body, Definition, InfeasibleError
from models.operations import allowed, operations
from models.operations.convolution import ConvNorm, norm
from models.operations.residual import ResidualReduction
from models.repeated import repeated
from models.task import Task
from models.writing import module_text

STAGES = 3


class Cell(nn.Module):
    """The live nodes of one cell.

    Shapes:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, nodes: Mapping[int, tuple[Term, ...]], channels: int, batch_norm: bool):
        super().__init__()
        self.nodes = nodes
        for node, terms in nodes.items():
            for term in terms:
                module = operations[term.operation].build(channels, batch_norm=batch_norm)
                self.add_module(edge(node, term), module)

    def forward(self, x: Tensor) -> Tensor:
        values = {0: x}
        for node, terms in self.nodes.items():
            first, *others = [
                self.get_submodule(edge(node, term))(values[term.source]) for term in terms
            ]
            for other in others:
                first = first + other
            values[node] = first
        return values[max(values)]


class Network(nn.Module):
    """Stem, three stages of cells, mean over the pixels or over parts of them, classifier.

    Shapes:
        (N, *task.input_shape) -> (N, task.outputs) logits
    """

    def __init__(
        self,
        nodes: Mapping[int, tuple[Term, ...]],
        channels: int,
        cells: int,
        task: Task,
        dropout: float,
        batch_norm: bool,
        frame: Frame,
    ) -> None:
        super().__init__()
        self.nodes, self.channels, self.cells = nodes, channels, cells
        self.task, self.batch_norm, self.frame = task, batch_norm, frame
        self.stem = ConvNorm(task.input_shape[0], channels, 3, batch_norm, frame.stem_stride)
        for stage in range(STAGES):
            width = channels * 2**stage
            if stage:
                self.add_module(
                    f"reduction_{stage}", ResidualReduction(width // 2, width, batch_norm)
                )
            make = partial(Cell, nodes, width, batch_norm)
            stack = nn.Sequential(*(repeated((Cell, width), make) for _ in range(cells)))
            self.add_module(f"stage_{stage}", stack)
        self.norm = norm(width, batch_norm)
        if frame.head_pool > 1:
            self.pool = nn.AdaptiveAvgPool2d(frame.head_pool)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width * frame.head_pool**2, task.outputs)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in range(STAGES):
            if stage:
                x = self.get_submodule(f"reduction_{stage}")(x)
            x = self.get_submodule(f"stage_{stage}")(x)
        x = functional.relu(self.norm(x))
        features = self.pool(x).flatten(1) if self.frame.head_pool > 1 else x.mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.dropout(features))
        return logits

    def body(self) -> Body:
        return Body("classifier", f"stage_{STAGES - 1}")


class NasBench201:
    operations: tuple[str, ...] = (
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
    )
    nodes = 4
    channels = 16
    cells = 1

    def decisions(
        self, nodes: int | Choice | Range, cells: int | Choice | Range, names: tuple[str, ...]
    ) -> list[Decision]:
        decisions = []
        for node in range(1, max(domain_values(nodes))):
            large = [count for count in domain_values(nodes) if node < count]
            when = condition("nodes", nodes, large)
            for source in range(node):
                decisions.append(Decision(f"edge_{source}_{node}", Choice(names), when))
        return decisions

    def reductions(self, cells: int) -> int:
        return STAGES - 1

    def build(self, values: Values, task: Task, dropout: float, batch_norm: bool) -> nn.Module:
        nodes = _nodes(values)
        output = max(nodes)
        nodes = live(nodes, [0])
        if output not in nodes:
            raise InfeasibleError(
                f"edge_0_{output}", "no path of operations other than none joins input and output"
            )
        wanted = {output}
        for node in reversed(nodes):
            if node in wanted:
                wanted |= {term.source for term in nodes[node]}
        used = {node: terms for node, terms in nodes.items() if node in wanted}
        channels, cells = integer(values, "channels"), integer(values, "cells")
        return Network(used, channels, cells, task, dropout, batch_norm, Frame.of(values))

    def canonical(self, values: Values) -> dict[str, Scalar]:
        return {"cell": unique_text(_nodes(values))}

    def definition(self, network: nn.Module) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of NAS-Bench-201 cells, got {network}")
        return Definition(
            operation_classes(network), "\n\n".join([_cell_text(network), _network_text(network)])
        )


def _cell_text(network: Network) -> str:
    cell = network.get_submodule("stage_0.0")
    return module_text(
        "Cell",
        [
            "Each node sums operations of earlier nodes; node 0 is the input, the last the output.",
            "",
            "Shapes:",
            "    (N, channels, H, W) -> (N, channels, H, W)",
        ],
        ["channels: int"],
        edge_lines(cell, network.nodes, network.batch_norm),
        ["node_0"],
        [*node_lines(network.nodes), f"return node_{max(network.nodes)}"],
    )


def _network_text(network: Network) -> str:
    task, normed = network.task, network.batch_norm
    channels, frame = network.channels, network.frame
    size, stride = frame.after_stem(task), frame.stem_stride
    stem = call(network.stem, task.input_shape[0], channels, 3, stride=stride, batch_norm=normed)
    constructor = [f"self.stem = {stem}  # (N, {channels}, {size[0]}, {size[1]})"]
    forward = ["x = self.stem(images)"]
    for stage in range(STAGES):
        width = channels * 2**stage
        if stage:
            reduction = network.get_submodule(f"reduction_{stage}")
            made = call(reduction, width // 2, width, batch_norm=normed)
            constructor.append(f"self.reduction_{stage} = {made}")
            forward.append(f"x = self.reduction_{stage}(x)")
            size = halved(size)
        stack = ", ".join([f"Cell({width})"] * network.cells)
        if network.cells > 4:
            stack = f"*(Cell({width}) for _ in range({network.cells}))"
        shape = ", ".join(map(str, (width, *size)))
        constructor.append(f"self.stage_{stage} = nn.Sequential({stack})  # (N, {shape})")
        forward.append(f"x = self.stage_{stage}(x)")
    if normed:
        constructor.append(f"self.norm = nn.BatchNorm2d({width})")
    last = "self.norm(x)" if normed else "x"
    pooling, features = pool_text(frame, f"functional.relu({last})")
    forward.append(f"features = {features}")
    made_head, returned = head_lines(network, "features")
    return module_text(
        "Network",
        [f"(N, {', '.join(map(str, task.input_shape))}) -> (N, {task.outputs}) logits."],
        [],
        [*constructor, *pooling, *made_head],
        ["images"],
        [*forward, *returned],
    )


def _nodes(values: Values) -> dict[int, tuple[Term, ...]]:
    names = allowed("nasbench201")
    return {
        node: tuple(
            Term(source, option(values, f"edge_{source}_{node}", names)) for source in range(node)
        )
        for node in range(1, integer(values, "nodes"))
    }


def unique_text(nodes: Nodes) -> str:
    """The expression of the output node, as the benchmark tells cells apart (section 2.4 of its
    paper): 6,466 texts for the 15,625 cells of four nodes and five operations.

    A skip is its source, none and an operation of zero are zero, and the order of a sum does not
    matter. Like the benchmark, it stops short of full algebra: a sum of zeros is not zero, zeros
    stay in a sum, and a sum inside a sum is not sorted anew, where algebra would leave 4,930.
    Equal texts are equal functions with equal weights for equal expressions.
    """
    text = {0: "0"}
    for node, terms in nodes.items():
        parts = []
        for term in terms:
            entry, source = operations[term.operation], text[term.source]
            if entry.is_zero or source == "#":
                parts.append("#")
            else:
                parts.append(source if entry.is_identity else f"({source})@{term.operation}")
        text[node] = "+".join(sorted(parts))
    return text[max(text)]
