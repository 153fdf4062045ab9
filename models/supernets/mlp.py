"""Weight sharing for multi-layer perceptrons: depth, and of each layer the width, the activation
and whether its input is added.

Layers of several widths share units, the first ones. A unit counts as much as all the widths that
have it: the masks of FBNetV2, Wan et al., CVPR 2020, https://arxiv.org/abs/2004.05565, section 3.2.
The output reads a mixture of the layers that may be the last one, by the weights of the depths; a
depth of 0 has an output of its own.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import domain_values, integer
from models.domains import Scalar, as_domain
from models.families.mlp import Mlp, MlpSettings
from models.family import FamilySettings, InfeasibleError, families
from models.operations.activation import ACTIVATIONS
from models.recipe import Recipe
from models.supernets import Group, Mix, Supernet, supernets
from models.supernets.choices import Choices, Options, Weighted
from models.supernets.fixed import check_fixed, check_whole, one_value_each
from models.task import Task

MAX_WIDTHS = 64
"""So many widths of a layer are weighted one by one."""

FIXED = ("norm", "dropout")
SEARCHED = ("width", "activation", "residual")


@supernets.register("mlp")
class MlpRelaxation:
    """`norm` and `dropout` are one value each."""

    @staticmethod
    def check(settings: FamilySettings, *, partial: int = 1, task: Task | None = None) -> None:
        check_whole(partial, "mlp")
        if not isinstance(settings, MlpSettings):
            raise TypeError(f"mlp needs MlpSettings, got {type(settings).__name__}")
        if task is not None:
            Mlp.decisions(settings, task)
        _fixed(settings)
        if as_domain(settings.embedding).values() != ("none",):
            raise InfeasibleError(
                "embedding", "networks that share weights have the embedding none, got another"
            )
        if as_domain(settings.members).values() != (1,):
            raise InfeasibleError(
                "members", "networks that share weights have 1 of the members, got others"
            )
        if (count := as_domain(settings.width).size) > MAX_WIDTHS:
            raise InfeasibleError(
                "width",
                f"networks that share weights have at most {MAX_WIDTHS} widths of a layer, "
                f"got {count}: name some, or give the range a step",
            )
        if not Choices(_options(settings)).groups:
            raise InfeasibleError("depth", "the space is one network, which shares with no other")

    @classmethod
    def build(cls, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        cls.check(settings, partial=partial, task=task)
        assert isinstance(settings, MlpSettings)  # noqa: S101 - `check` has looked
        return MlpSupernet(settings, task)


def _fixed(settings: MlpSettings) -> dict[str, Scalar]:
    return one_value_each(Decision(name, as_domain(getattr(settings, name))) for name in FIXED)


def _options(settings: MlpSettings) -> Options:
    depths = domain_values(settings.depth)
    return {"depth": {"depth": depths}} | {
        kind: {
            f"layer_{layer}_{kind}": as_domain(getattr(settings, kind)).values()
            for layer in range(1, max(depths) + 1)
        }
        for kind in SEARCHED
    }


class Units(NamedTuple):
    """What leaves a layer, and the weights of the widths that it may have.

    Shapes:
        x: (N, the largest of the widths)
    """

    x: Tensor
    widths: Weighted


class SharedLayer(nn.Module):
    """A plain network's layer for all widths of its input and its output."""

    def __init__(self, inputs: int, outputs: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=norm != "batch")
        self.norm = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}.get(norm, nn.Identity)(outputs)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Linear(inputs, outputs, bias=False)

    def forward(
        self, units: Units, widths: Weighted, activations: Weighted, residual: Weighted
    ) -> Units:
        widest = max(int(width) for width, _ in widths)
        bias = None if self.linear.bias is None else self.linear.bias[:widest]
        mapped = functional.linear(units.x, self._part(self.linear, widest, units), bias)
        hidden: Tensor = self.dropout(self._activated(mapped, widths, activations))
        for wanted, weight in residual:
            if wanted:
                hidden = hidden + weight * self._beside(units, widths, widest)
        return Units(hidden, widths)

    def state_of(self, inputs: int, outputs: int) -> dict[str, Tensor]:
        """Weights and statistics of one width of the input and of the output."""
        sizes = (outputs, inputs)
        return {
            name: value[tuple(slice(size) for size in sizes[: value.dim()])]
            for name, value in self.state_dict().items()
        }

    def _part(self, linear: nn.Linear, widest: int, units: Units) -> Tensor:
        return linear.weight[:widest, : units.x.shape[1]]

    def _activated(self, mapped: Tensor, widths: Weighted, activations: Weighted) -> Tensor:
        if not isinstance(self.norm, nn.LayerNorm):
            mixed = _mixture(self._normalised(mapped), activations)
            return mixed * _masks(widths, mapped.shape[1])
        parts = [  # its statistics are of all the units that a width has
            weight * _mixture(self._normalised(mapped[:, : int(width)]), activations)
            for width, weight in widths
        ]
        return reduce(add, (_wide(part, mapped.shape[1]) for part in parts))

    def _normalised(self, x: Tensor) -> Tensor:
        norm, size = self.norm, x.shape[1]
        if isinstance(norm, nn.LayerNorm):
            return functional.layer_norm(x, (size,), norm.weight[:size], norm.bias[:size], norm.eps)
        if not isinstance(norm, nn.BatchNorm1d):
            return x
        assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101
        return functional.batch_norm(
            x,
            norm.running_mean[:size],
            norm.running_var[:size],
            norm.weight[:size],
            norm.bias[:size],
            norm.training,
            norm.momentum or 0.1,
            norm.eps,
        )

    def _beside(self, units: Units, widths: Weighted, widest: int) -> Tensor:
        """The input as it is where it is as wide as the output, else mapped: each by the weight
        that two widths meet.
        """
        same: list[tuple[Scalar, Tensor]] = []
        other: list[tuple[Scalar, Tensor]] = []
        for width, weight in widths:
            for before, weight_before in units.widths:
                (same if width == before else other).append((width, weight * weight_before))
        parts = []
        if same:
            parts.append(_wide(units.x, widest) * _masks(same, widest))
        if other:
            mapped = functional.linear(units.x, self._part(self.shortcut, widest, units))
            parts.append(mapped * _masks(other, widest))
        return reduce(add, parts)


class MlpSupernet(Supernet):
    """Layers of the largest width, as many as the largest depth."""

    def __init__(self, settings: MlpSettings, task: Task) -> None:
        super().__init__()
        self.task, self.fixed = task, _fixed(settings)
        self.choices = Choices(_options(settings))
        self.groups: dict[str, Group] = self.choices.groups
        depths, features = domain_values(settings.depth), task.input_shape[0]
        widest = max(domain_values(settings.width))
        norm, dropout = str(self.fixed["norm"]), float(self.fixed["dropout"])
        for number in range(1, max(depths) + 1):
            inputs = features if number == 1 else widest
            self.add_module(f"layer_{number}", SharedLayer(inputs, widest, norm, dropout))
        if max(depths) > 0:
            self.output = nn.Linear(widest, task.outputs)
        if min(depths) == 0:
            self.direct = nn.Linear(features, task.outputs)

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        chosen = self.choices.read(mix, x)
        depths = {int(depth): weight for depth, weight in chosen["depth"]}
        units = Units(x, [(x.shape[1], x.new_ones(()))])
        outputs: list[Tensor] = []
        last: list[Tensor] = []
        for depth in range(max(depths) + 1):
            if depth:
                kinds = (chosen[f"layer_{depth}_{kind}"] for kind in SEARCHED)
                units = self.part(self.get_submodule(f"layer_{depth}"), units, *kinds)
            if depth in depths and depth == 0:
                outputs.append(depths[depth] * self.direct(x))
            elif depth in depths:
                last.append(depths[depth] * units.x)
        if last:
            widest = max(part.shape[1] for part in last)
            hidden = reduce(add, (_wide(part, widest) for part in last))
            total = reduce(add, (weight for depth, weight in depths.items() if depth))
            mapped = functional.linear(hidden, self.output.weight[:, :widest])
            outputs.append(mapped + total * self.output.bias)
        return reduce(add, outputs)

    def derive(self, mix: Mix) -> Architecture:
        found = self.choices.strongest(mix)
        depth = int(found["depth"])
        layers = {
            f"layer_{number}_{kind}": found[f"layer_{number}_{kind}"]
            for number in range(1, depth + 1)
            for kind in SEARCHED
        }
        return Architecture("mlp", {"depth": depth, **(self.fixed if depth else {}), **layers})

    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        if architecture.decisions.get("depth") != 0:
            check_fixed(architecture, self.fixed)
        return self.choices.mix_of(architecture.decisions, next(self.parameters()))

    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self.mix_of(architecture)  # raises where it is no subnet
        with torch.random.fork_rng(devices=[]):
            network = families["mlp"].build(architecture, self.task, Recipe())
        values, width = architecture.decisions, self.task.input_shape[0]
        own = {}
        for number in range(1, integer(values, "depth", low=0) + 1):
            layer, inputs = self.get_submodule(f"layer_{number}"), width
            assert isinstance(layer, SharedLayer)  # noqa: S101 - for the type checker
            width = integer(values, f"layer_{number}_width")
            for name, value in layer.state_of(inputs, width).items():
                own[f"layer_{number}.{name}"] = value
        last = self.output if own else self.direct
        own |= {"output.weight": last.weight[:, :width], "output.bias": last.bias}
        return {name: own[name].detach().clone() for name in network.state_dict()}


def _mixture(x: Tensor, activations: Weighted) -> Tensor:
    parts: list[Tensor] = [weight * ACTIVATIONS[str(name)]()(x) for name, weight in activations]
    return reduce(add, parts)


def _masks(widths: Weighted, widest: int) -> Tensor:
    """Of each unit the weight of all widths that have it.

    Shapes:
        -> (1, widest)
    """
    return reduce(add, (_wide(weight.expand(1, int(width)), widest) for width, weight in widths))


def _wide(x: Tensor, widest: int) -> Tensor:
    """With zeros for the units that are missing, without those that are too many.

    Shapes:
        (N, width) -> (N, widest)
    """
    return functional.pad(x, (0, widest - x.shape[1]))
