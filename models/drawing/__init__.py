"""The picture of a network: the whole with shapes, parameters and FLOPs, and the inside of its
blocks and cells, once each.
"""

from __future__ import annotations

from models.architecture import Architecture
from models.drawing.networks import drawing_of, drawing_of_members
from models.drawing.svg import svg
from models.ensemble import Ensemble
from models.recipe import Recipe
from models.task import Task

__all__ = ["ensemble_picture", "picture"]


def picture(architecture: Architecture, task: Task, recipe: Recipe) -> str:
    """SVG. The same network gives the same text.

    Raises:
        models.family.InfeasibleError: no network can be built from `architecture`.
    """
    return svg(drawing_of(architecture, task, recipe))


def ensemble_picture(ensemble: Ensemble) -> str:
    """The same of networks whose answers are averaged."""
    members = [(one.checkpoint.architecture, one.checkpoint.recipe) for one in ensemble.members]
    return svg(drawing_of_members(members, ensemble.shares, ensemble.task))
