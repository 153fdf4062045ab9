"""Several trained networks as one, which averages what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.averaging import Average, average_for
from models.checkpoint import Checkpoint
from models.domains import Scalar
from models.recipe import Recipe
from models.task import Task

ENSEMBLE = "ensemble"
"""In the place of a family."""


class Averaged(nn.Module):
    """Networks of one task, `member_1` and so on, each with its share of the answer.

    Shapes:
        as those of its members
    """

    def __init__(
        self, members: Sequence[nn.Module], shares: Sequence[float], average: Average
    ) -> None:
        super().__init__()
        for number, member in enumerate(members, 1):
            self.add_module(f"member_{number}", member)
        self.shares, self.average = list(shares), average

    @property
    def members(self) -> list[nn.Module]:
        return list(self.children())

    def forward(self, x: Any) -> Tensor:
        return self.average([member(x) for member in self.members], self.shares)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A member of an ensemble: the trial whose weights it has, and how often it was picked."""

    trial: int
    picks: int


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """`chosen`, and what its trial has left."""

    chosen: Chosen
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Networks that take the same inputs and whose outputs mean the same; the one that is the best
    alone comes first, and is asked where one recipe has to stand for all.

    It is to a bundle what a checkpoint is.
    """

    members: tuple[Member, ...]

    @property
    def architecture(self) -> Architecture:
        return architecture_of(
            (member.chosen, member.checkpoint.architecture) for member in self.members
        )

    @property
    def task(self) -> Task:
        return self.members[0].checkpoint.task

    @property
    def recipe(self) -> Recipe:
        return self.members[0].checkpoint.recipe

    @property
    def shares(self) -> list[float]:
        """Of each member, 1 together."""
        return shares_of([member.chosen for member in self.members])

    def network(self) -> Averaged:
        """With the weights of its members, on the CPU, in evaluation mode.

        Raises:
            models.checkpoint.CheckpointError: some weights are not those of their architecture.
        """
        networks = [member.checkpoint.network() for member in self.members]
        network = Averaged(networks, self.shares, average_for(self.task))
        network.eval()
        return network

    def cost(self) -> dict[str, float]:
        """The sums of its members'."""
        costs = [member.checkpoint.cost() for member in self.members]
        return {name: sum(cost[name] for cost in costs) for name in costs[0]}


def shares_of(chosen: Sequence[Chosen]) -> list[float]:
    picks = sum(member.picks for member in chosen)
    return [member.picks / picks for member in chosen]


def architecture_of(members: Iterator[tuple[Chosen, Architecture]]) -> Architecture:
    """All that is decided of an ensemble, `member_1.` before what is of its first member: `trial`,
    `picks` and `family`, and `decisions.` before each of its decisions.
    """
    decisions: dict[str, Scalar] = {}
    for number, (chosen, own) in enumerate(members, 1):
        said: dict[str, Scalar] = {
            "trial": chosen.trial,
            "picks": chosen.picks,
            "family": own.family,
        }
        said |= {f"decisions.{name}": value for name, value in own.decisions.items()}
        decisions |= {f"member_{number}.{name}": value for name, value in said.items()}
    return Architecture(ENSEMBLE, decisions)


def chosen_in(architecture: Architecture) -> list[Chosen]:
    """The members of an ensemble in their order, by its `architecture`."""
    values: Mapping[str, Any] = architecture.decisions
    count = sum(name.endswith(".picks") for name in values)
    prefixes = [f"member_{number}" for number in range(1, count + 1)]
    return [Chosen(values[f"{p}.trial"], values[f"{p}.picks"]) for p in prefixes]


def picked(outputs: Mapping[int, Tensor], picks: Sequence[int], average: Average) -> Tensor:
    """What the networks of these picks say together; one that is picked again counts again.

    Shapes:
        outputs: of each, by trial, (N, ...) -> the same
    """
    distinct = list(dict.fromkeys(picks))
    shares = [picks.count(trial) / len(picks) for trial in distinct]
    with torch.inference_mode():
        return average([outputs[trial] for trial in distinct], shares)
