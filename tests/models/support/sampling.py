"""Random points of a family's space, for tests that know no search."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from models.architecture import Architecture, Decision
from models.domains import Scalar
from models.family import families
from models.task import Task


def draw(family: str, decisions: Iterable[Decision], rng: Random) -> Architecture:
    """Each active decision uniformly."""
    values: dict[str, Scalar] = {}
    for decision in decisions:
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    return Architecture(family, values)


def cells(task: Task, seed: int, **settings: object) -> Architecture:
    """A random `cnn_cell` of the space that a request of these settings describes."""
    family = families["cnn_cell"]
    decisions = family.decisions(family.Settings.model_validate(settings), task)
    return draw("cnn_cell", decisions, Random(seed))
