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
from models.decisions import Values, integer
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

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the cells; an architecture that does not say it has ones.

    stem_stride: of the first convolution.
    head_pool: side of the grid to which the mean is taken before the classifier; 1: over all
        pixels.
    """

    stem_stride: int = 1
    head_pool: int = 1

    @classmethod
    def of(cls, values: Values) -> Frame:
        """
        Raises:
            InfeasibleError: not a positive integer.
        """
        return cls(**{name: integer(values, name) for name in FRAME if name in values})

    def decisions(self) -> dict[str, Scalar]:
        """What an architecture says of it."""
        return {name: side for name in FRAME if (side := getattr(self, name)) != 1}

    def after_stem(self, task: Task) -> Size:
        """Height and width."""
        height, width = (-(-side // self.stem_stride) for side in task.input_shape[1:])
        return height, width


FRAME = ("stem_stride", "head_pool")


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

    def reductions(self, cells: int) -> int:
        """How often `cells` cells halve the image."""

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


def halved(size: Size) -> Size:
    """Height and width after a reduction."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def check_image(task: Task, reductions: int, frame: Frame, cells: int) -> None:
    """
    Raises:
        InfeasibleError: a reduction would meet an image one pixel high or wide, or what the cells
            leave is smaller than the grid of the head.
    """
    size = frame.after_stem(task)
    shown = f"got {size[0]}x{size[1]}"
    if frame.stem_stride > 1:
        shown += f" after a stem of stride {frame.stem_stride}"
    if reductions and min(size) <= 2 ** (reductions - 1):
        raise InfeasibleError(
            "cells",
            f"cells {cells} halves the image {reductions} times, which needs at least "
            f"{2 ** (reductions - 1) + 1} pixels a side, {shown}",
        )
    for _ in range(reductions):
        size = halved(size)
    if frame.head_pool > min(size):
        raise InfeasibleError(
            "head_pool",
            f"head_pool {frame.head_pool} needs as many pixels a side after the cells, "
            f"got {size[0]}x{size[1]}",
        )
