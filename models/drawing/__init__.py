"""The picture of a network: the whole with shapes, parameters and FLOPs, and the inside of its
blocks and cells, once each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.architecture import Architecture
from models.drawing.differences import differences, notes
from models.drawing.graph import Drawing
from models.drawing.networks import drawing_of, drawing_of_members
from models.drawing.svg import svg, svg_pair
from models.recipe import Recipe
from models.task import Task

__all__ = ["Pictured", "ensemble_picture", "picture", "picture_of_two"]


@dataclass(frozen=True, slots=True)
class Pictured:
    """A network with what it is called, and how it is built."""

    title: str
    architecture: Architecture
    recipe: Recipe

    def drawing(self, task: Task) -> Drawing:
        drawing = drawing_of(self.architecture, task, self.recipe)
        return replace(drawing, title=f"{self.title}: {drawing.title}")


def picture(architecture: Architecture, task: Task, recipe: Recipe) -> str:
    """SVG. The same network gives the same text.

    Raises:
        models.family.InfeasibleError: no network can be built from `architecture`.
    """
    return svg(drawing_of(architecture, task, recipe))


def picture_of_two(first: Pictured, second: Pictured, task: Task) -> str:
    """SVG of both, side by side, what differs marked and told below.

    Raises:
        models.family.InfeasibleError: no network can be built from one of them.
    """
    drawings = first.drawing(task), second.drawing(task)
    marks = differences(*drawings)
    said = notes(first.architecture, second.architecture)
    return svg_pair([*zip(drawings, marks, strict=True)], said)


def ensemble_picture(
    members: Sequence[tuple[Architecture, Recipe]], shares: Sequence[float], task: Task
) -> str:
    """The same of networks whose answers are averaged, by their shares."""
    return svg(drawing_of_members(members, shares, task))
