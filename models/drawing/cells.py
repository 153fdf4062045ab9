"""Cells as their papers draw them: a node is a state, an edge an operation."""

from __future__ import annotations

from functools import singledispatch

from torch import nn

from models.cells import darts, nasbench201
from models.drawing.graph import Edge, Node
from models.operations.recurrent import CELL_ACTIVATIONS, DartsCell, DartsRNN

Cell = tuple[tuple[Node, ...], tuple[Edge, ...]]


@singledispatch
def cell_of(module: nn.Module) -> Cell | None:
    """None of a module that is no cell."""
    return None


@cell_of.register
def _darts(module: darts.Cell) -> Cell:
    """Liu et al., ICLR 2019, figures 4 and 5; without what is zero or not used."""
    terms = [(node, term) for node, terms in module.nodes.items() for term in terms]
    read = {term.source for _, term in terms}
    inputs = {0: "cell k\N{MINUS SIGN}2", 1: "cell k\N{MINUS SIGN}1"}
    nodes = [Node(str(n), title, kind="end") for n, title in inputs.items() if n in read]
    nodes += [Node(str(node), str(node - 2), kind="state") for node in module.nodes]
    nodes.append(Node("output", "cell k", "concat" if len(module.nodes) > 1 else "", kind="end"))
    edges = [Edge(str(term.source), str(node), term.operation) for node, term in terms]
    edges += [Edge(str(node), "output") for node in module.nodes]
    return tuple(nodes), tuple(edges)


@cell_of.register
def _nasbench201(module: nasbench201.Cell) -> Cell:
    """Dong & Yang, ICLR 2020, figure 1; without what is zero or not used."""
    last = max(module.nodes)
    nodes = [Node("0", "0", "input", kind="end")]
    nodes += [Node(str(node), str(node), kind="state") for node in module.nodes if node != last]
    nodes.append(Node(str(last), str(last), "output", kind="end"))
    edges = [
        Edge(str(term.source), str(node), term.operation)
        for node, terms in module.nodes.items()
        for term in terms
    ]
    return tuple(nodes), tuple(edges)


@cell_of.register
def _recurrent(module: DartsRNN) -> Cell:
    """Liu et al., ICLR 2019, figure 6."""
    names = {kind: name for name, kind in CELL_ACTIVATIONS.items()}
    cell = module.cells[0]
    assert isinstance(cell, DartsCell)  # noqa: S101 - for the type checker
    nodes = [
        Node("x", "x(t)", kind="end"),
        Node("h", "h(t\N{MINUS SIGN}1)", kind="end"),
        Node("0", "0", kind="state"),
    ]
    edges = [Edge("x", "0", "tanh"), Edge("h", "0", "tanh")]
    for number, (source, activation) in enumerate(
        zip(cell.sources, cell.activations, strict=True), 1
    ):
        nodes.append(Node(str(number), str(number), kind="state"))
        edges.append(Edge(str(source), str(number), names[type(activation)]))
    nodes.append(Node("output", "h(t)", "mean", kind="end"))
    edges += [Edge(str(number), "output") for number in range(1, len(cell.sources) + 1)]
    return tuple(nodes), tuple(edges)
