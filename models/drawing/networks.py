"""From an architecture to what its drawing shows. Nothing is computed: the network lives on the
meta device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from string import ascii_uppercase
from typing import Any

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.averaging import average_for
from models.cost import SHAPE_PRESERVING
from models.drawing.cells import cell_of
from models.drawing.graph import Drawing, Edge, Graph, Node
from models.drawing.names import TENSOR_OPERATIONS, is_invisible, is_whole, name_of
from models.drawing.repeats import collapsed
from models.drawing.tracing import INPUT, OUTPUT, Step, tensors_in, traced
from models.ensemble import Averaged
from models.family import families
from models.meta import unroll_at_once
from models.recipe import Recipe
from models.task import Task

ARROW = " \N{RIGHTWARDS ARROW} "
ROW = 40
"""Characters of the steps of a block that stand for its name."""

_Inside = str | tuple[tuple[Node, ...], tuple[Edge, ...]] | None


def drawing_of(architecture: Architecture, task: Task, recipe: Recipe) -> Drawing:
    """
    Raises:
        models.family.InfeasibleError: no network can be built from `architecture`.
    """
    return _drawing(architecture.family, _on_meta(architecture, task, recipe), task, recipe)


def drawing_of_members(
    members: Sequence[tuple[Architecture, Recipe]], shares: Sequence[float], task: Task
) -> Drawing:
    """Of an ensemble; each member is a block."""
    networks = [_on_meta(architecture, task, recipe) for architecture, recipe in members]
    whole = Averaged(networks, shares, average_for(task))
    return _drawing(f"ensemble of {len(members)}", whole, task, members[0][1])


def _on_meta(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
    with torch.device("meta"):
        own = task.read_as(recipe.tokens)
        network = families[architecture.family].build(architecture, own, recipe)
    unroll_at_once(network)
    for module in network.modules():
        if isinstance(module, SHAPE_PRESERVING):  # up to 1 ms on the meta device
            setattr(module, "forward", _another)  # noqa: B010 - an instance, not the class
    return network


def _another(x: Tensor) -> Tensor:
    """A tensor of its own, so that it is told from what came in."""
    return x.view_as(x)


def _drawing(title: str, network: nn.Module, task: Task, recipe: Recipe) -> Drawing:
    network.eval()
    sample, parts = task.read_as(recipe.tokens).zeros(1, "meta"), _Parts()
    with torch.no_grad():
        steps, edges = traced(network, (sample,), {})
        nodes = tuple(_node(step, parts) for step in steps)
    graph = collapsed(_joined(Graph("network", "network", nodes, tuple(edges))))
    inside = parts.titled()
    titles = {part.id: part.title for part in inside}
    named = tuple(replace(node, title=titles.get(node.part, node.title)) for node in graph.nodes)
    return Drawing(
        title,
        sum(parameter.numel() for parameter in network.parameters()),
        sum(node.flops for node in nodes),
        replace(graph, nodes=named),
        inside,
    )


class _Parts:
    """The graphs of blocks, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, object], Graph] = {}
        self._inside: dict[tuple[str, object], _Inside] = {}

    def inside(self, step: Step) -> _Inside:
        """Of modules that are written alike and get the same shapes, once."""
        key = (repr(step.module), tuple(x.shape for x in tensors_in(step.arguments)))
        if key not in self._inside:
            self._inside[key] = _inside(step)
        return self._inside[key]

    def add(self, title: str, nodes: tuple[Node, ...], edges: tuple[Edge, ...]) -> str:
        """Its id."""
        known = (title, (tuple(node.looks for node in nodes), edges))
        if known not in self._found:
            part = f"part-{len(self._found) + 1}"
            self._found[known] = collapsed(_joined(Graph(part, title, nodes, edges)))
        return self._found[known].id

    def titled(self) -> tuple[Graph, ...]:
        """Those of one title told apart by letters."""
        graphs, titles = [*self._found.values()], [title for title, _ in self._found]
        return tuple(
            replace(graph, title=f"{title} {_letter(titles[:place].count(title))}")
            if titles.count(title) > 1
            else graph
            for place, (graph, title) in enumerate(zip(graphs, titles, strict=True))
        )


def _letter(number: int) -> str:
    return ascii_uppercase[number] if number < len(ascii_uppercase) else str(number + 1)


def _node(step: Step, parts: _Parts) -> Node:
    known: dict[str, Any] = {"shape": step.shape, "flops": step.flops}
    if step.id in (INPUT, OUTPUT):
        return Node(step.id, step.id.strip("()"), kind="end", **known)
    if step.module is None:
        title = TENSOR_OPERATIONS.get(step.operation, step.operation.replace("_", " "))
        return Node(step.id, title, kind="operation", **known)
    known["parameters"] = sum(parameter.numel() for parameter in step.module.parameters())
    title, detail = name_of(step.module)
    cell = cell_of(step.module)
    if cell is not None:
        return Node(step.id, title, detail, kind="block", part=parts.add(title, *cell), **known)
    inside = None if detail or not _is_composite(step.module) else parts.inside(step)
    if isinstance(inside, str):
        is_row = ARROW in inside and len(inside) <= ROW
        title, detail = (inside, "") if is_row else (title, inside)
        return Node(step.id, title, detail, **known)
    if inside is not None:
        part = parts.add(title, *inside)
        return Node(step.id, title, detail, kind="block", part=part, **known)
    return Node(step.id, title, detail, **known)


def _is_composite(module: nn.Module) -> bool:
    inner = [child for child in module.modules() if child is not module and not is_invisible(child)]
    return bool(inner) and not is_whole(module)


def _inside(step: Step) -> _Inside:
    """In words where simple steps follow one another, else as a graph; None of what hides them."""
    assert step.module is not None  # noqa: S101 - for the type checker
    args, named = step.arguments
    steps, edges = traced(step.module, args, named)
    inner = [one for one in steps if one.id not in (INPUT, OUTPUT)]
    if not inner:
        return None
    pairs = [(one.id, other.id) for one, other in pairwise(steps)]
    follow = [(edge.source, edge.target) for edge in edges] == pairs
    if follow and not any(one.module and _is_composite(one.module) for one in inner):
        return ARROW.join(_told(one) for one in inner)
    nodes = tuple(_plain(_node(one, _Parts())) for one in steps)
    return nodes, tuple(edges)


def _told(step: Step) -> str:
    if step.module is None:
        return TENSOR_OPERATIONS.get(step.operation, step.operation.replace("_", " "))
    return name_of(step.module)[0]


def _plain(node: Node) -> Node:
    """Without what differs from one block to the next that is made alike."""
    is_made_of = not any(character.isdigit() for character in node.detail.partition(ARROW)[0])
    detail = node.detail if is_made_of else ""
    return Node(node.id, node.title, detail, kind="layer" if node.part else node.kind)


def _joined(graph: Graph) -> Graph:
    """Sums of sums, as they come from adding one by one, are one sum."""
    readers: dict[str, list[str]] = {}
    for edge in graph.edges:
        readers.setdefault(edge.source, []).append(edge.target)
    sums = {node.id for node in graph.nodes if node.kind == "operation" and node.title == "+"}
    into: Mapping[str, str] = {
        name: found[0] for name in sums if len(found := readers.get(name, [])) == 1
    }
    gone = {name for name, reader in into.items() if reader in sums}

    def last(name: str) -> str:
        while name in gone:
            name = into[name]
        return name

    edges = dict.fromkeys(
        Edge(edge.source, last(edge.target), edge.label)
        for edge in graph.edges
        if edge.source not in gone
    )
    nodes = tuple(node for node in graph.nodes if node.id not in gone)
    return Graph(graph.id, graph.title, nodes, tuple(edges))
