"""Cells as directed acyclic graphs, one topology a file.

A cell sums operations of earlier nodes into each node. A term is an operation applied to a source
node. Terms with a zero operation or a zero source are zero, and so is a node without terms: what is
zero, or what nothing uses, is not built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from models.architecture import Decision
from models.decisions import Values
from models.domains import Choice, Range, Scalar
from models.family import Definition, InfeasibleError
from models.operations import operations
from models.task import Task


@dataclass(frozen=True, slots=True)
class Term:
    """`operation` applied to node `source`."""

    source: int
    operation: str

    def __str__(self) -> str:
        return f"{self.operation}({self.source})"


Nodes = Mapping[int, Sequence[Term]]
"""Node -> its terms, each source before the node."""


class Topology(Protocol):
    """How the nodes of a cell are linked and how cells make a network.

    `operations` are the standard ones; they, `nodes`, `channels` and `cells` are defaults of a
    request: small, for a first look on one core.
    """

    operations: tuple[str, ...]
    nodes: int
    channels: int
    cells: int

    def decisions(
        self, nodes: int | Choice | Range, cells: int | Choice | Range, names: tuple[str, ...]
    ) -> list[Decision]:
        """The decisions of the cells; `nodes`, `cells` and `channels` are decided before."""

    def check(self, cells: int, task: Task) -> None:
        """
        Raises:
            InfeasibleError: the image is too small for the reductions of `cells` cells.
        """

    def build(self, values: Values, task: Task, dropout: float, batch_norm: bool) -> nn.Module: ...

    def canonical(self, values: Values) -> dict[str, Scalar]:
        """The identity of the cells: equal for isomorphic ones."""

    def definition(self, network: nn.Module) -> Definition: ...


def live(nodes: Nodes, inputs: Sequence[int]) -> dict[int, tuple[Term, ...]]:
    """The nodes that are not zero, each with its terms that are not zero."""
    alive: dict[int, tuple[Term, ...]] = {}
    for node, terms in nodes.items():
        kept = tuple(
            term
            for term in terms
            if not operations[term.operation].is_zero
            and (term.source in inputs or term.source in alive)
        )
        if kept:
            alive[node] = kept
    return alive


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after a reduction."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def check_image(task: Task, reductions: int, field: str, got: object) -> None:
    """
    Raises:
        InfeasibleError: a reduction would meet an image one pixel high or wide.
    """
    size = task.input_shape[1:]
    if reductions and min(size) <= 2 ** (reductions - 1):
        raise InfeasibleError(
            field,
            f"{field} {got} halves the image {reductions} times, which needs at least "
            f"{2 ** (reductions - 1) + 1} pixels a side, got {size[0]}x{size[1]}",
        )
