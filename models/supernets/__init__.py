"""Supernets, one relaxation a family: every network of a space in one, with shared weights.

A supernet takes a *mix*: for each group of choices (a kind of cell) the weight of each option
(an operation) in each row (an edge). A mix in between is a relaxation, a mix of one option a row is
a subnet, which computes what the plain network of its architecture computes with the same weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.family import FamilySettings
from models.registry import Registry
from models.supernets.recomputation import recomputed
from models.task import Task

Mix = Mapping[str, Tensor]
"""Group -> weights of the options.

Shapes:
    each: (rows, options)
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Choices that are made together: the edges of one kind of cell.

    `rows` name the edges, `options` the operations. `into` tells for each row the node that it
    leads to: rows of one node compete. `skips` are the options that pass their input on unchanged.
    """

    rows: tuple[str, ...]
    options: tuple[str, ...]
    into: tuple[int, ...]
    skips: tuple[str, ...] = ()


class Supernet(nn.Module):
    """Shares weights between all architectures of one space.

    recomputes: a backward pass computes the inside of every part anew, for less memory.
    """

    groups: Mapping[str, Group]
    recomputes: bool = False

    @abstractmethod
    def forward(self, x: Any, mix: Mix) -> Tensor:
        """An option of weight zero is not computed, and its weight gets no gradient.

        Shapes:
            as `models.family.Family.build` says
        """

    @abstractmethod
    def derive(self, mix: Mix) -> Architecture:
        """The architecture that stands out in `mix`, by the rule of the topology's paper."""

    @abstractmethod
    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        """One for what an architecture chooses, zero for the rest.

        Raises:
            ValueError: the architecture is no subnet of this supernet.
        """

    @abstractmethod
    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        """A copy of the weights for the network that its family builds of `architecture`.

        Raises:
            ValueError: the architecture is no subnet of this supernet.
        """

    def part(self, module: nn.Module, *inputs: Any) -> Any:
        """`module(*inputs)` for a cell, a layer or a step, which may be computed again."""
        if self.recomputes and self.training and torch.is_grad_enabled():
            return recomputed(module, *inputs)
        return module(*inputs)


class Relaxation(Protocol):
    """What a file registers under the name of its family."""

    def check(
        self, settings: FamilySettings, *, partial: int = 1, task: Task | None = None
    ) -> None:
        """What can be said before anything is built; with the task, all of it.

        Raises:
            models.family.InfeasibleError: the space has choices that cannot share weights.
        """

    def build(self, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        """The supernet of a space, initialised by torch's global generator.

        `partial`: operations see one of so many channels, the others pass by (PC-DARTS).

        Raises:
            models.family.InfeasibleError: no supernet of these settings fits the task.
        """


supernets: Registry[Relaxation] = Registry("supernet", __name__)
