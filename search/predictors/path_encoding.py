"""What a candidate is made of, as features for a predictor.

Path encoding: White et al., BANANAS, AAAI 2021, https://arxiv.org/abs/1910.11858, section 4: a
feature for each sequence of operations that leads from the input of a cell to its output. Cells
that compute the same have the same paths, which their decisions do not show. A cell is told by the
names of its decisions, which families and tables of results share:

- `edge_{source}_{node}`: an operation on every edge (NAS-Bench-201);
- `{kind}_node_{i}_inputs`, `..._first`, `..._second`: "0-2", and what is done to each (DARTS);
- `links` and `op_{i}`: "0012" names the node that each operation reads (NAS-Bench-Graph).

Every other decision is one-hot, or a number in 0..1 where it is a range.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cache

from models.domains import Choice, Scalar
from search.space import SearchSpace
from search.trial import Candidate

Path = tuple[Scalar, ...]

ZERO, IDENTITY = "none", ("skip_connect", "skip")
CELL = re.compile(r"edge_\d+_\d+|.+_node_\d+_(inputs|first|second)|links|op_\d+")
EDGE = re.compile(r"edge_(\d+)_(\d+)")
NODE = re.compile(r"(.+)_node_(\d+)_inputs")
MAX_PATHS = 1024
"""Paths to one node that are followed: their number may double from node to node."""


class PathEncoding:
    """Features of the candidates of one space, sparse and by name: no list of all is needed."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._others = [d for d in space.decisions if d.domain.size > 1 and not _is_of_cell(d.name)]

    def __call__(self, candidate: Candidate) -> dict[Hashable, float]:
        """How often each path occurs; 1 for the option of a choice."""
        architecture, values = candidate.architecture.decisions, self._space.values(candidate)
        features: dict[Hashable, float] = dict(
            Counter(
                path
                for paths in (_edge_paths, _node_paths, _link_paths)
                for path in paths(architecture)
            )
        )
        for decision in self._others:
            if decision.name not in values:
                continue
            value = values[decision.name]
            if isinstance(decision.domain, Choice):
                features[decision.name, value] = 1.0
            else:
                features[decision.name,] = decision.domain.encode(value)[0]
        return features


def _edge_paths(values: Mapping[str, Scalar]) -> Iterator[Path]:
    """Paths to the last node of a cell with an operation on every edge."""
    edges: dict[int, list[tuple[int, Scalar]]] = defaultdict(list)
    for name, operation in values.items():
        if edge := _edge(name):
            edges[edge[1]].append((edge[0], operation))
    if not edges:
        return
    reached: dict[int, list[Path]] = {0: [("edge",)]}
    for node in sorted(edges):
        reached[node] = _joined(reached, edges[node])
    yield from reached[max(edges)]


def _node_paths(values: Mapping[str, Scalar]) -> Iterator[Path]:
    """Paths to each node of a DARTS cell, whose output is all of them, and its operations.

    Two of so many paths are seldom the same, and operations are. Told 30 cells of three nodes that
    were trained on digits, the predictor ranks 70 others with rho 0.43 by both, 0.27 by paths.
    """
    cells: dict[str, list[int]] = defaultdict(list)
    for name in values:
        if inputs := _inputs(name):
            cells[inputs[0]].append(inputs[1])
    for kind, nodes in cells.items():
        reached: dict[int, list[Path]] = {0: [(kind, 0)], 1: [(kind, 1)]}
        for node in sorted(nodes):
            prefix = f"{kind}_node_{node}"
            sources = map(int, str(values[f"{prefix}_inputs"]).split("-"))
            operations = (values[f"{prefix}_first"], values[f"{prefix}_second"])
            yield from ((kind, "operation", operation) for operation in operations)
            reached[node] = _joined(reached, zip(sources, operations, strict=True))
            yield from reached[node]


def _link_paths(values: Mapping[str, Scalar]) -> Iterator[Path]:
    """Paths to each node that reads one other; the output is the nodes that nobody reads."""
    if "links" not in values:
        return
    sources = [int(source) for source in str(values["links"])]
    reached: list[Path] = [("node",)]
    for place, source in enumerate(sources):
        operation = values[f"op_{place}"]
        yield "operation", operation
        reached.append((*reached[source], operation))
        yield reached[-1]
        if place + 1 not in sources:
            yield "output", *reached[-1]


def _joined(reached: Mapping[int, list[Path]], inputs: Iterable[tuple[int, Scalar]]) -> list[Path]:
    """Paths to a node that sums its inputs, each once."""
    paths = dict.fromkeys(
        path if operation in IDENTITY else (*path, operation)
        for source, operation in inputs
        if operation != ZERO
        for path in reached.get(source, ())
    )
    return list(paths) if len(paths) <= MAX_PATHS else sorted(paths, key=_length)[:MAX_PATHS]


def _is_of_cell(name: str) -> bool:
    """Also where the name of a family stands before it, as in a union."""
    return CELL.fullmatch(name.rpartition(".")[2]) is not None


def _length(path: Path) -> tuple[int, str]:
    return len(path), repr(path)


@cache
def _edge(name: str) -> tuple[int, int] | None:
    """Source and node of a decision that is an edge."""
    found = EDGE.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


@cache
def _inputs(name: str) -> tuple[str, int] | None:
    """Kind of the cell and node of a decision that names a node's inputs."""
    found = NODE.fullmatch(name)
    return (found[1], int(found[2])) if found else None
