"""Weight sharing for graph networks: the number of layers, the operation of each and the layer that
it reads, the activation, and what gives the output.

All operations of a layer and all that it may read are mixed as in DARTS, Liu et al., ICLR 2019,
https://arxiv.org/abs/1806.09055. A layer goes into the output by the probability that no other one
reads it, as if each drew what it reads by its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.decisions import domain_values
from models.domains import Scalar, as_domain
from models.families.gnn import (
    NODES,
    OF_LAYER,
    OF_OUTPUT,
    Gnn,
    GnnSettings,
    Network,
    operation_of,
    read_out,
)
from models.family import FamilySettings, InfeasibleError, families
from models.graph import Features, Graph
from models.operations.message_passing import NodeLinear, message_passings
from models.recipe import Recipe
from models.supernets import Group, Mix, Supernet, supernets
from models.supernets.choices import Choices, Options, Weighted
from models.supernets.fixed import check_fixed, check_whole, one_value_each
from models.supernets.message_passing import MixedLayer
from models.task import Task

FIXED = ("hidden", "norm", "dropout")

READOUT = "after the readout"
"""The output of graphs, which is no choice."""


@supernets.register("gnn")
class GnnRelaxation:
    """`hidden`, `heads`, `aggregation`, `steps`, `teleport`, `norm` and `dropout` are one value
    each. There are layers, and what leaves is what no other reads.
    """

    @staticmethod
    def check(settings: FamilySettings, *, partial: int = 1, task: Task | None = None) -> None:
        check_whole(partial, "gnn")
        if not isinstance(settings, GnnSettings):
            raise TypeError(f"gnn needs GnnSettings, got {type(settings).__name__}")
        if task is not None:
            Gnn.decisions(settings, task)
        _fixed(settings, task)
        for name, refused in (("layers", 0), ("jumping", True)):
            if refused in as_domain(getattr(settings, name)).values():
                raise InfeasibleError(
                    name, f"networks that share weights have no {name} {json.dumps(refused)}"
                )
        if as_domain(settings.drop_edge).levels(2) != (0.0,):
            raise InfeasibleError(
                "drop_edge", "networks that share weights drop no edge, so it is 0"
            )
        if not Choices(_options(settings, task)).groups:
            raise InfeasibleError("layers", "the space is one network, which shares with no other")

    @classmethod
    def build(cls, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        cls.check(settings, partial=partial, task=task)
        assert isinstance(settings, GnnSettings)  # noqa: S101 - `check` has looked
        return GnnSupernet(settings, task)


def _fixed(settings: GnnSettings, task: Task | None) -> dict[str, Scalar]:
    taken = {name for operation in settings.operations for name in _taken(operation)}
    if task is None or task.name == NODES:
        taken |= {name for operation in settings.output for name in _taken(operation, OF_OUTPUT)}
    names = [*FIXED, *(name for name in OF_LAYER if name in taken)]
    return one_value_each(Decision(name, as_domain(getattr(settings, name))) for name in names)


def _taken(operation: str, names: Sequence[str] = OF_LAYER) -> tuple[str, ...]:
    """The decisions that come with an operation; fixed too."""
    return tuple(name for name in names if name in message_passings[operation].options)


def _options(settings: GnnSettings, task: Task | None) -> Options:
    counts = domain_values(settings.layers)
    layers = range(1, max(counts) + 1)
    inputs = {
        f"layer_{layer}_input": tuple(range(layer)) if settings.links == "tree" else (layer - 1,)
        for layer in layers
    }
    options: dict[str, Mapping[str, Sequence[Scalar]]] = {
        "layers": {"layers": counts},
        "activation": {"activation": as_domain(settings.activation).values()},
        "operation": {f"layer_{layer}_operation": settings.operations for layer in layers},
        **{name: {name: sources} for name, sources in inputs.items()},
    }
    if task is None or task.name == NODES:
        options["output"] = {"output": settings.output}
    if task is None or task.name != NODES:
        options["readout"] = {"readout": as_domain(settings.readout).values()}
    return options


class GnnSupernet(Supernet):
    """As many layers as the largest number, and an output with a place for each."""

    def __init__(self, settings: GnnSettings, task: Task) -> None:
        super().__init__()
        self.task, self.fixed = task, _fixed(settings, task)
        skips = [name for name in settings.operations if message_passings[name].is_identity]
        self.choices = Choices(_options(settings, task), skips)
        self.groups: dict[str, Group] = self.choices.groups
        self.hidden, self.last = int(self.fixed["hidden"]), max(domain_values(settings.layers))
        self.places = ["output", *(f"layer_{number}" for number in range(1, self.last + 1))]
        features, dropout = task.input_shape[0], float(self.fixed["dropout"])
        for number in range(1, self.last + 1):
            inputs = features + self.hidden
            made = {
                name: self._made("layer_1", name, inputs, self.hidden)
                for name in settings.operations
            }
            reads_features = number == 1 or settings.links == "tree"
            sizes = (features if reads_features else 0, self.hidden if number > 1 else 0)
            layer = MixedLayer(made, inputs, sizes, self.hidden, str(self.fixed["norm"]), dropout)
            self.add_module(f"layer_{number}", layer)
        self.dropout = nn.Dropout(dropout)
        width = self.last * self.hidden
        self.outputs = nn.ModuleDict(
            {name: self._made("output", name, width, task.outputs) for name in settings.output}
            if task.name == NODES
            else {READOUT: NodeLinear(width, task.outputs)}
        )

    def forward(self, graph: Graph, mix: Mix) -> Tensor:
        chosen = self.choices.read(mix, next(self.parameters()))
        values: dict[int, Tensor | Features] = {0: graph.x}
        for number in range(1, max(int(count) for count, _ in chosen["layers"]) + 1):
            values[number] = self.part(
                self.get_submodule(f"layer_{number}"),
                graph,
                values,
                chosen[f"layer_{number}_input"],
                chosen[f"layer_{number}_operation"],
                chosen["activation"],
            )
        x = self._side_by_side(values, Places(chosen).weights())
        if self.task.name != NODES:
            outputs: Tensor = self.outputs[READOUT](
                _mixture((w, read_out(graph, x, str(name))) for name, w in chosen["readout"])
            )
            return outputs
        outputs = _mixture((w, self.outputs[str(name)](x, graph)) for name, w in chosen["output"])
        return outputs if graph.picked is None else outputs[graph.picked]

    def derive(self, mix: Mix) -> Architecture:
        found = self.choices.strongest(mix)
        decisions = {name: self.fixed[name] for name in FIXED}
        for name in ("layers", "activation", "output", "readout"):
            if name in found:
                decisions[name] = found[name]
        if "output" in found:
            taken = _taken(str(found["output"]), OF_OUTPUT)
            decisions |= {f"output_{name}": self.fixed[name] for name in taken}
        for number in range(1, int(found["layers"]) + 1):
            operation = str(found[f"layer_{number}_operation"])
            decisions[f"layer_{number}_operation"] = operation
            decisions[f"layer_{number}_input"] = found[f"layer_{number}_input"]
            for name in _taken(operation):
                decisions[f"layer_{number}_{name}"] = self.fixed[name]
        return Architecture("gnn", decisions)

    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        values = architecture.decisions
        of_layers = {
            name: value
            for kind, value in self.fixed.items()
            for name in (f"{place}_{kind}" for place in self.places)
            if name in values
        }
        check_fixed(architecture, {name: self.fixed[name] for name in FIXED} | of_layers)
        return self.choices.mix_of(values, next(self.parameters()))

    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self.mix_of(architecture)  # raises where it is no subnet
        with torch.random.fork_rng(devices=[]):
            network = families["gnn"].build(architecture, self.task, Recipe())
        assert isinstance(network, Network)  # noqa: S101 - for the type checker
        network.to(next(self.parameters()))
        values, weights = architecture.decisions, network.state_dict()
        own: dict[str, Tensor] = {}
        for number, source in network.sources.items():
            layer = self.get_submodule(f"layer_{number}")
            assert isinstance(layer, MixedLayer)  # noqa: S101 - for the type checker
            name = str(values[f"layer_{number}_operation"])
            for key, value in layer.state_of(name, reads_features=source == 0).items():
                own[f"layer_{number}.{key}"] = value
        kept = [
            (leaf - 1) * self.hidden + unit
            for leaf in network.leaves
            for unit in range(self.hidden)
        ]
        for key, value in self.outputs[str(values.get("output", READOUT))].state_dict().items():
            is_narrower = value.dim() > 1 and value.shape != weights[f"output.{key}"].shape
            own[f"output.{key}"] = value[:, kept] if is_narrower else value
        weights |= own  # else scales of 1 and shifts of 0, which the supernet has not
        return {name: value.detach().clone() for name, value in weights.items()}

    def _made(self, place: str, name: str, inputs: int, outputs: int) -> nn.Module:
        values: dict[str, Scalar] = {"dropout": self.fixed["dropout"]}
        if place == "output":
            values["output"] = name
            values |= {
                f"{place}_{option}": self.fixed[option] for option in _taken(name, OF_OUTPUT)
            }
        else:
            values |= {f"{place}_{option}": self.fixed[option] for option in _taken(name)}
            values[f"{place}_operation"] = name
        return operation_of(values, place, inputs, outputs)[0]

    def _side_by_side(
        self, values: Mapping[int, Tensor | Features], weights: Mapping[int, Tensor]
    ) -> Tensor:
        """The layers that go into the output, each in its place, zero in the others. Dropout sees
        those alone.
        """
        leaves = [weights[number] * values[number] for number in weights]  # type: ignore[operator]
        dropped = self.dropout(torch.cat(leaves, dim=1)).chunk(len(leaves), dim=1)
        placed = dict(zip(weights, dropped, strict=True))
        zeros = torch.zeros_like(dropped[0])
        return torch.cat([placed.get(n, zeros) for n in range(1, self.last + 1)], dim=1)


class Places:
    """How much of each layer goes into the output. None is a weight that is zero whatever the
    weights of the options are that are not.
    """

    def __init__(self, chosen: Mapping[str, Weighted]) -> None:
        self._chosen = chosen
        self._counts = chosen["layers"]
        self._last = max(int(count) for count, _ in self._counts)

    def weights(self) -> dict[int, Tensor]:
        """A skip stands for the layer that it reads, which goes into the output once."""
        stands: dict[int, dict[int, Tensor]] = {}
        found: dict[int, Tensor] = {}
        for number in range(1, self._last + 1):
            stands[number] = self._stands_for(number, stands)
            ends = self._ends(number)
            for layer, weight in stands[number].items():
                if ends is not None:
                    also = ends * weight
                    before = found.get(layer)
                    found[layer] = also if before is None else before + (1 - before) * also
        return dict(sorted(found.items()))

    def _stands_for(
        self, number: int, stands: Mapping[int, Mapping[int, Tensor]]
    ) -> dict[int, Tensor]:
        """Layer -> the weight that this one is a skip of it; of itself that it computes."""
        operations = self._chosen[f"layer_{number}_operation"]
        passing = _sum(w for name, w in operations if message_passings[str(name)].is_identity)
        computing = _sum(w for name, w in operations if not message_passings[str(name)].is_identity)
        found = {} if computing is None else {number: computing}
        if passing is None:
            return found
        for source, weight in self._chosen[f"layer_{number}_input"]:
            stood_for = stands[int(source)] if source else {number: torch.ones_like(weight)}
            for layer, share in stood_for.items():
                also = passing * weight * share
                found[layer] = found[layer] + also if layer in found else also
        return found

    def _ends(self, number: int) -> Tensor | None:
        """The weight that the layer is there and no other reads it."""
        factors = [_sum(weight for count, weight in self._counts if int(count) >= number)]
        for reader in range(number + 1, self._last + 1):
            absent = _sum(weight for count, weight in self._counts if int(count) < reader)
            present = _sum(weight for count, weight in self._counts if int(count) >= reader)
            others = _sum(
                w for source, w in self._chosen[f"layer_{reader}_input"] if source != number
            )
            reads_another = None if present is None or others is None else present * others
            factors.append(_sum(w for w in (absent, reads_another) if w is not None))
        known = [factor for factor in factors if factor is not None]
        return reduce(mul, known) if len(known) == len(factors) else None


def _sum(weights: Iterable[Tensor]) -> Tensor | None:
    """None of nothing."""
    weights = list(weights)
    return reduce(add, weights) if weights else None


def _mixture(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    return reduce(add, (weight * part for weight, part in parts))
