"""DARTS cells, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055, section 2.1 and appendix.

Nodes 0 and 1 are the outputs of the two cells before; every later node sums an operation of each of
two earlier nodes; the cell's output concatenates the nodes from 2 on. Reduction cells stand at 1/3
and 2/3 of the depth, have stride 2 at the two inputs, and double the channels. Deviations: the
first cell is never a reduction (the paper has 8 cells and more), and odd sides are padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn

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
from models.operations.convolution import ConvNorm, ReLUConvNorm
from models.operations.identity import FactorizedReduce
from models.repeated import repeated
from models.task import Task
from models.writing import module_text

Kind = Literal["normal", "reduction"]
INPUTS = (0, 1)
STEM_MULTIPLIER = 3


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One cell of a network.

    `sources` are the indices of the cells whose outputs are nodes 0 and 1, -1 for the stem; an
    input that the cell does not use is missing. `reduce_first`: node 0 has twice the resolution.
    `shape` is the output's (channels, height, width).
    """

    kind: Kind
    sources: Mapping[int, int]
    in_channels: Mapping[int, int]
    channels: int
    reduce_first: bool
    shape: tuple[int, int, int]

    @property
    def construction(self) -> tuple[Kind, int, bool, tuple[tuple[int, int], ...]]:
        """What two cells of a network that are built alike have in common."""
        return self.kind, self.channels, self.reduce_first, tuple(self.in_channels.items())


class Cell(nn.Module):
    """The live nodes of one cell.

    Shapes:
        two of (N, C, H, W), or (N, C, 2H, 2W) for node 0 after a reduction, as far as used
        -> (N, channels * live nodes, H, W), half of that resolution for a reduction
    """

    def __init__(self, nodes: Mapping[int, tuple[Term, ...]], plan: CellPlan, batch_norm: bool):
        super().__init__()
        self.nodes, self.kind = nodes, plan.kind
        for node, width in plan.in_channels.items():
            self.add_module(
                f"input_{node}",
                FactorizedReduce(width, plan.channels, batch_norm)
                if node == 0 and plan.reduce_first
                else ReLUConvNorm(width, plan.channels, 1, batch_norm=batch_norm),
            )
        for node, terms in nodes.items():
            for term in terms:
                stride = 2 if plan.kind == "reduction" and term.source in INPUTS else 1
                module = operations[term.operation].build(plan.channels, stride, batch_norm)
                self.add_module(edge(node, term), module)

    def forward(self, inputs: Mapping[int, Tensor]) -> Tensor:
        values = {node: self.get_submodule(f"input_{node}")(x) for node, x in inputs.items()}
        for node, terms in self.nodes.items():
            first, *others = [
                self.get_submodule(edge(node, term))(values[term.source]) for term in terms
            ]
            values[node] = first + others[0] if others else first
        return torch.cat([values[node] for node in self.nodes], dim=1)


class Network(nn.Module):
    """Stem, cells, mean over the pixels or over parts of them, classifier.

    Shapes:
        (N, *task.input_shape) -> (N, task.outputs) logits
    """

    def __init__(
        self,
        cells: Mapping[Kind, dict[int, tuple[Term, ...]]],
        plans: Mapping[int, CellPlan],
        stem_channels: int,
        task: Task,
        dropout: float,
        batch_norm: bool,
        frame: Frame,
    ) -> None:
        super().__init__()
        self.nodes, self.plans, self.stem_channels = cells, plans, stem_channels
        self.task, self.batch_norm, self.frame = task, batch_norm, frame
        stride = frame.stem_stride
        self.stem = ConvNorm(task.input_shape[0], stem_channels, 3, batch_norm, stride)
        for index, plan in plans.items():
            make = partial(Cell, cells[plan.kind], plan, batch_norm)
            self.add_module(f"cell_{index}", repeated((Cell, plan.construction), make))
        if frame.head_pool > 1:
            self.pool = nn.AdaptiveAvgPool2d(frame.head_pool)
        self.dropout = nn.Dropout(dropout)
        features = plans[max(plans)].shape[0] * frame.head_pool**2
        self.classifier = nn.Linear(features, task.outputs)

    def forward(self, images: Tensor) -> Tensor:
        outputs = {-1: self.stem(images)}
        for index, plan in self.plans.items():
            inputs = {node: outputs[source] for node, source in plan.sources.items()}
            outputs[index] = self.get_submodule(f"cell_{index}")(inputs)
        last = outputs[index]
        features = self.pool(last).flatten(1) if self.frame.head_pool > 1 else last.mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.dropout(features))
        return logits

    def body(self) -> Body:
        return Body("classifier", f"cell_{max(self.plans)}")


def kinds(cells: int) -> list[Kind]:
    """The kind of each cell, in order."""
    reductions = {cells // 3, 2 * cells // 3} - {0}
    return ["reduction" if index in reductions else "normal" for index in range(cells)]


def used_cells(
    cells: int, nodes: Mapping[Kind, dict[int, tuple[Term, ...]]]
) -> dict[int, tuple[int, ...]]:
    """The cells on which the network's output depends, in order, each with its inputs in use."""
    order = kinds(cells)
    used: dict[int, tuple[int, ...]] = {}
    wanted = {cells - 1}
    for index in reversed(range(cells)):
        if index not in wanted:
            continue
        terms = [term for terms in nodes[order[index]].values() for term in terms]
        used[index] = tuple(node for node in INPUTS if any(term.source == node for term in terms))
        wanted |= {index - 2 + node for node in used[index]}
    return dict(sorted(used.items()))


class Darts:
    operations: tuple[str, ...] = (
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    nodes = 3
    channels = 8
    cells = 3

    def decisions(
        self, nodes: int | Choice | Range, cells: int | Choice | Range, names: tuple[str, ...]
    ) -> list[Decision]:
        with_reduction = [count for count in domain_values(cells) if "reduction" in kinds(count)]
        sizes: dict[Kind, list[int]] = {"normal": list(domain_values(cells))}
        if with_reduction:
            sizes["reduction"] = with_reduction
        decisions = []
        for kind, counts in sizes.items():
            for node in range(2, 2 + max(domain_values(nodes))):
                large = [count for count in domain_values(nodes) if node < 2 + count]
                when = condition("cells", cells, counts) + condition("nodes", nodes, large)
                prefix = f"{kind}_node_{node}"
                pairs = tuple(f"{a}-{b}" for a, b in combinations(range(node), 2))
                decisions.append(Decision(f"{prefix}_inputs", Choice(pairs), when))
                decisions.append(Decision(f"{prefix}_first", Choice(names), when))
                decisions.append(Decision(f"{prefix}_second", Choice(names), when))
        return decisions

    def reductions(self, cells: int) -> int:
        return kinds(cells).count("reduction")

    def build(self, values: Values, task: Task, dropout: float, batch_norm: bool) -> nn.Module:
        count, channels = integer(values, "cells"), integer(values, "channels")
        nodes = _live_nodes(values)
        used = used_cells(count, nodes)
        for index, kind in enumerate(kinds(count)):
            if index in used and not used[index]:
                raise InfeasibleError(
                    f"{kind}_node_2_first", f"every node of the {kind} cell is zero"
                )
        stem_channels = STEM_MULTIPLIER * channels
        width = {-2: stem_channels, -1: stem_channels}
        frame = Frame.of(values)
        size = frame.after_stem(task)
        plans: dict[int, CellPlan] = {}
        previous: Kind = "normal"
        for index, kind in enumerate(kinds(count)):
            if kind == "reduction":
                channels, size = 2 * channels, halved(size)
            width[index] = channels * len(nodes[kind])
            inputs = used.get(index, ())
            if index in used:
                plans[index] = CellPlan(
                    kind,
                    {node: max(index - 2 + node, -1) for node in inputs},
                    {node: width[index - 2 + node] for node in inputs},
                    channels,
                    previous == "reduction",
                    (width[index], *size),
                )
            previous = kind
        return Network(nodes, plans, stem_channels, task, dropout, batch_norm, frame)

    def canonical(self, values: Values) -> dict[str, Scalar]:
        nodes = _live_nodes(values)
        order = kinds(integer(values, "cells"))
        used = {order[index] for index in used_cells(len(order), nodes)}
        return {f"{kind}_cell": canonical_text(nodes[kind]) for kind in sorted(used)}

    def definition(self, network: nn.Module) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of DARTS cells, got {type(network).__name__}")
        used = dict.fromkeys(plan.kind for plan in network.plans.values())
        parts = [_cell_text(network, kind) for kind in used]
        return Definition(operation_classes(network), "\n\n".join([*parts, _network_text(network)]))


def _cell_text(network: Network, kind: Kind) -> str:
    nodes, norm = network.nodes[kind], network.batch_norm
    plans = {index: plan for index, plan in network.plans.items() if plan.kind == kind}
    cells = {index: network.get_submodule(f"cell_{index}") for index in plans}
    sources = next(iter(plans.values())).sources
    constructor = []
    for node in sources:
        made = {
            plan.reduce_first and node == 0: call(
                cells[index].get_submodule(f"input_{node}"),
                f"channels_{node}",
                "channels",
                *(() if plan.reduce_first and node == 0 else (1,)),
                batch_norm=norm,
            )
            for index, plan in plans.items()
        }
        if len(made) == 2:
            constructor += [
                f"self.input_{node} = (",
                f"    {made[True]}",
                "    if halve_0",
                f"    else {made[False]}",
                ")",
            ]
        else:
            constructor.append(f"self.input_{node} = {made.popitem()[1]}")
    halves = {plan.reduce_first for plan in plans.values()}
    choice = ["halve_0: bool"] if len(halves) == 2 and 0 in sources else []
    outputs = [f"node_{node}" for node in nodes]
    joined = f"torch.cat([{', '.join(outputs)}], dim=1)" if len(nodes) > 1 else outputs[0]
    size = "H, W" if kind == "normal" else "H / 2, W / 2"
    shapes = {node: f"(N, channels_{node}, H, W)" for node in sources}
    if choice:
        shapes[0] += ", of twice that resolution with halve_0"
    elif 0 in sources and halves == {True}:
        shapes[0] = "(N, channels_0, 2H, 2W)"
    return module_text(
        f"{kind.title()}Cell",
        [
            "Each node sums operations of earlier nodes; the output joins the nodes.",
            "",
            "Shapes:",
            *(f"    input_{node}: {shape}" for node, shape in shapes.items()),
            f"    output: (N, {len(nodes)} * channels, {size})",
        ],
        [*(f"channels_{node}: int" for node in sources), "channels: int", *choice],
        [
            *constructor,
            *edge_lines(
                next(iter(cells.values())), nodes, norm, INPUTS if kind == "reduction" else ()
            ),
        ],
        [f"input_{node}" for node in sources],
        [
            *(f"node_{node} = self.input_{node}(input_{node})" for node in sources),
            *node_lines(nodes),
            f"return {joined}",
        ],
    )


def _network_text(network: Network) -> str:
    task = network.task
    stem = call(
        network.stem,
        task.input_shape[0],
        network.stem_channels,
        3,
        stride=network.frame.stem_stride,
        batch_norm=network.batch_norm,
    )
    shape = (network.stem_channels, *network.frame.after_stem(task))
    constructor = [f"self.stem = {stem}  # (N, {', '.join(map(str, shape))})"]
    forward = ["stem = self.stem(images)"]
    for index, plan in network.plans.items():
        arguments = [str(width) for width in plan.in_channels.values()] + [str(plan.channels)]
        alike = {other.reduce_first for other in network.plans.values() if other.kind == plan.kind}
        if len(alike) == 2 and 0 in plan.sources:
            arguments.append(f"halve_0={plan.reduce_first}")
        constructor.append(
            f"self.cell_{index} = {plan.kind.title()}Cell({', '.join(arguments)})"
            f"  # (N, {', '.join(map(str, plan.shape))})"
        )
        sources = ["stem" if at < 0 else f"cell_{at}" for at in plan.sources.values()]
        forward.append(f"cell_{index} = self.cell_{index}({', '.join(sources)})")
    pooling, features = pool_text(network.frame, f"cell_{index}")
    made, returned = head_lines(network, features)
    return module_text(
        "Network",
        [f"(N, {', '.join(map(str, task.input_shape))}) -> (N, {task.outputs}) logits."],
        [],
        [*constructor, *pooling, *made],
        ["images"],
        [*forward, *returned],
    )


def _live_nodes(values: Values) -> dict[Kind, dict[int, tuple[Term, ...]]]:
    """The live nodes of the cells that a network of `values` has."""
    order = kinds(integer(values, "cells"))
    found: dict[Kind, dict[int, tuple[Term, ...]]] = {}
    for kind in dict.fromkeys(order):
        nodes: dict[int, tuple[Term, ...]] = {}
        for node in range(2, 2 + integer(values, "nodes")):
            prefix = f"{kind}_node_{node}"
            pairs = [f"{a}-{b}" for a, b in combinations(range(node), 2)]
            sources = option(values, f"{prefix}_inputs", pairs).split("-")
            names = [
                option(values, f"{prefix}_{place}", allowed("darts"))
                for place in ("first", "second")
            ]
            nodes[node] = tuple(
                Term(int(source), name) for source, name in zip(sources, names, strict=True)
            )
        found[kind] = live(nodes, INPUTS)
    return found


def canonical_text(nodes: Nodes) -> str:
    """The same text for isomorphic cells, and for no others.

    Of all orders in which every node stands after its sources, the one whose list of terms is
    smallest. Built up node by node, all equally small beginnings together. Of nodes that read the
    same and that no other node uses, one stands for all.
    """
    used = {term.source for terms in nodes.values() for term in terms}
    beginnings: list[tuple[int, ...]] = [()]
    text: list[str] = []
    for _ in nodes:
        found: dict[tuple[int, ...], tuple[tuple[int, str], ...]] = {}
        for order in beginnings:
            position = {node: place for place, node in enumerate((*INPUTS, *order))}
            leaves = set()
            for node, terms in nodes.items():
                if node in order or any(term.source not in position for term in terms):
                    continue
                code = tuple(sorted((position[term.source], term.operation) for term in terms))
                if node not in used:
                    if code in leaves:
                        continue
                    leaves.add(code)
                found[(*order, node)] = code
        smallest = min(found.values())
        beginnings = [order for order, code in found.items() if code == smallest]
        text.append("+".join(f"{name}({source})" for source, name in smallest))
    return ";".join(text)
