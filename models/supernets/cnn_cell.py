"""Weight sharing for cells of both topologies.

DARTS, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055: every edge is a mixture of all
operations, one mix for all normal cells and one for all reduction cells. The operations are those
of the family, so that a subnet is a network of it: no normalisation follows the pooling, as the
paper's code has it in the search alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture
from models.cells import FRAME, Frame, Term
from models.cells.darts import INPUTS, STEM_MULTIPLIER, Kind, kinds
from models.cells.darts import Network as DartsNetwork
from models.cells.nasbench201 import STAGES
from models.cells.text import edge as edge_name
from models.domains import Scalar
from models.families.cnn_cell import CnnCell, CnnCellSettings
from models.family import FamilySettings, InfeasibleError, families
from models.operations import operations
from models.operations.convolution import ConvNorm, ReLUConvNorm
from models.operations.identity import FactorizedReduce
from models.operations.residual import ResidualReduction
from models.recipe import Recipe
from models.supernets import Group, Mix, Supernet, supernets
from models.supernets.activity import placed
from models.supernets.cells import MixedCell, edges
from models.supernets.joined import without_affine
from models.task import Task


@supernets.register("cnn_cell")
class CnnCellRelaxation:
    """`nodes`, `cells`, `channels` and what stands around the cells are one value each: they shape
    the supernet.
    """

    @staticmethod
    def check(settings: FamilySettings, *, partial: int = 1, task: Task | None = None) -> None:
        if not isinstance(settings, CnnCellSettings):
            raise TypeError(f"cnn_cell needs CnnCellSettings, got {type(settings).__name__}")
        for name in ("nodes", "cells", "channels", *FRAME):
            value = getattr(settings, name)
            if not isinstance(value, int):
                raise InfeasibleError(
                    name,
                    f"networks that share weights have one value of {name}, got {value.to_json()}",
                )
        if settings.channels % partial:  # type: ignore[operator]  # an integer, as checked
            raise InfeasibleError(
                "channels", f"channels must be a multiple of {partial}, got {settings.channels}"
            )

    @classmethod
    def build(cls, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        cls.check(settings, partial=partial)
        assert isinstance(settings, CnnCellSettings)  # noqa: S101 - `check` has looked
        CnnCell.decisions(settings, task)
        return SUPERNETS[settings.topology](settings, task, partial)


class CnnCellSupernet(Supernet):
    """What both topologies have in common."""

    INPUTS: int
    memory_format = torch.channels_last
    """Of what the cells see. All channels of a pixel side by side are fast; of images with one
    channel torch cannot tell the order, so that the stem's has to be told.
    """

    def __init__(self, settings: CnnCellSettings, task: Task, partial: int) -> None:
        super().__init__()
        assert isinstance(settings.nodes, int)  # noqa: S101 - for the type checker
        assert isinstance(settings.cells, int)  # noqa: S101
        assert isinstance(settings.channels, int)  # noqa: S101
        self.task, self.names, self.partial = task, settings.operations, partial
        self.nodes, self.cells, self.channels = settings.nodes, settings.cells, settings.channels
        self.topology = settings.topology
        self.frame = Frame(**{name: getattr(settings, name) for name in FRAME})
        self.edges = edges(self.INPUTS, self._all_nodes)
        group = Group(
            tuple(f"{source}-{node}" for source, node in self.edges),
            self.names,
            tuple(node for _, node in self.edges),
            tuple(name for name in self.names if operations[name].is_identity),
        )
        self.groups = dict.fromkeys(self._kinds(), group)

    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self._check(architecture)
        mixes = {}
        for kind in self.groups:
            mix = torch.zeros(len(self.edges), len(self.names))
            for node, term in self._terms(architecture, kind):
                mix[self.edges.index((term.source, node)), self.names.index(term.operation)] = 1
            mixes[kind] = placed(mix, next(self.parameters()))
        return mixes

    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self._check(architecture)
        if self.partial > 1:
            raise ValueError("weights for a share of the channels fit no plain network")
        with torch.random.fork_rng(devices=[]):
            network = families["cnn_cell"].build(architecture, self.task, Recipe())
        network.to(next(self.parameters()))
        weights = network.state_dict()  # scales of 1 and shifts of 0, where the supernet has none
        for name, weight in self._plain_state(architecture):
            if name in weights:
                weights[name] = self._narrowed(name, weight, network)
        return {name: weight.detach().clone() for name, weight in weights.items()}

    def derive(self, mix: Mix) -> Architecture:
        decisions: dict[str, Scalar] = {
            "topology": self.topology,
            "nodes": self.nodes,
            "cells": self.cells,
            "channels": self.channels,
            **self.frame.decisions(),
        }
        for kind in self.groups:
            decisions |= self._chosen(kind, mix[kind].detach().tolist())
        return Architecture("cnn_cell", decisions)

    @property
    @abstractmethod
    def _all_nodes(self) -> int:
        """Of a cell, its inputs included."""

    @abstractmethod
    def _kinds(self) -> Sequence[str]:
        """The kinds of cells, each a group."""

    @abstractmethod
    def _chosen(self, kind: str, mix: list[list[float]]) -> dict[str, Scalar]:
        """The decisions of one kind of cell."""

    @abstractmethod
    def _terms(self, architecture: Architecture, kind: str) -> Iterator[tuple[int, Term]]:
        """(node, term): what an architecture chooses in one kind of cell."""

    @abstractmethod
    def _mixed_cells(self) -> Iterator[tuple[str, str, MixedCell]]:
        """(name in the plain network, kind, cell)."""

    def _narrowed(self, name: str, weight: Tensor, network: nn.Module) -> Tensor:
        """A weight without the input channels that the plain network does not have."""
        return weight

    def _plain_state(self, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
        """What the supernet has, by the names of the plain network."""
        for name, value in self.state_dict().items():
            if ".mixed." not in name:
                yield name, value
        for prefix, kind, cell in self._mixed_cells():
            for node, term in self._terms(architecture, kind):
                path = f"{prefix}.{edge_name(node, term)}"
                for name, value in cell.state_of((term.source, node), term.operation).items():
                    yield f"{path}.{name}", value

    def _check(self, architecture: Architecture) -> None:
        own = {name: getattr(self, name) for name in ("topology", "nodes", "cells", "channels")}
        own |= {name: getattr(self.frame, name) for name in FRAME}
        for name, wanted in own.items():
            value = architecture.decisions.get(name, 1 if name in FRAME else None)
            if value != wanted:
                raise ValueError(f"{name} of this supernet is {wanted!r}, got {value!r}")


class DartsCell(nn.Module):
    """The two inputs brought to one shape, then the mixed operations."""

    def __init__(
        self,
        names: Sequence[str],
        widths: tuple[int, int],
        channels: int,
        nodes: int,
        kind: Kind,
        halve: bool,
        partial: int,
    ) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.input_0 = without_affine(
            FactorizedReduce(widths[0], channels) if halve else ReLUConvNorm(widths[0], channels, 1)
        )
        self.input_1 = without_affine(ReLUConvNorm(widths[1], channels, 1))
        stride = 2 if kind == "reduction" else 1
        self.mixed = MixedCell(names, channels, len(INPUTS), nodes, stride, partial)

    def forward(self, before: Tensor, last: Tensor, mix: Tensor) -> Tensor:
        return torch.cat(self.mixed([self.input_0(before), self.input_1(last)], mix), dim=1)


class DartsSupernet(CnnCellSupernet):
    """Cells of two inputs; a plain network takes two terms for each node."""

    INPUTS = len(INPUTS)

    def __init__(self, settings: CnnCellSettings, task: Task, partial: int) -> None:
        super().__init__(settings, task, partial)
        channels = self.channels
        stem = STEM_MULTIPLIER * channels
        self.stem = ConvNorm(task.input_shape[0], stem, 3, stride=self.frame.stem_stride)
        widths, previous = (stem, stem), "normal"
        for index, kind in enumerate(kinds(self.cells)):
            if kind == "reduction":
                channels *= 2
            cell = DartsCell(
                self.names,
                widths,
                channels,
                self._all_nodes,
                kind,
                previous == "reduction",
                partial,
            )
            self.add_module(f"cell_{index}", cell)
            widths, previous = (widths[1], channels * self.nodes), kind
        self.classifier = nn.Linear(widths[1] * self.frame.head_pool**2, task.outputs)

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        before = last = self.stem(x).contiguous(memory_format=self.memory_format)
        for cell in self._cells():
            before, last = last, self.part(cell, before, last, mix[cell.kind])
        logits: Tensor = self.classifier(_pooled(last, self.frame.head_pool))
        return logits

    @property
    def _all_nodes(self) -> int:
        return len(INPUTS) + self.nodes

    def _kinds(self) -> Sequence[str]:
        return tuple(dict.fromkeys(kinds(self.cells)))

    def _cells(self) -> Iterator[DartsCell]:
        for index in range(self.cells):
            cell = self.get_submodule(f"cell_{index}")
            assert isinstance(cell, DartsCell)  # noqa: S101 - for the type checker
            yield cell

    def _mixed_cells(self) -> Iterator[tuple[str, str, MixedCell]]:
        for index, cell in enumerate(self._cells()):
            yield f"cell_{index}", cell.kind, cell.mixed

    def _chosen(self, kind: str, mix: list[list[float]]) -> dict[str, Scalar]:
        """Section 2.4: the best operation of an edge other than none, and for each node the two
        edges where it is strongest.
        """
        options = [c for c, name in enumerate(self.names) if not operations[name].is_zero]
        decisions: dict[str, Scalar] = {}
        for node in range(self.INPUTS, self._all_nodes):
            best = {
                source: max(options, key=mix[row].__getitem__)
                for row, (source, into) in enumerate(self.edges)
                if into == node
            }
            strength = {s: mix[self.edges.index((s, node))][c] for s, c in best.items()}
            first, second = sorted(sorted(best, key=lambda s: -strength[s])[:2])
            decisions[f"{kind}_node_{node}_inputs"] = f"{first}-{second}"
            decisions[f"{kind}_node_{node}_first"] = self.names[best[first]]
            decisions[f"{kind}_node_{node}_second"] = self.names[best[second]]
        return decisions

    def _terms(self, architecture: Architecture, kind: str) -> Iterator[tuple[int, Term]]:
        for node in range(self.INPUTS, self._all_nodes):
            prefix = f"{kind}_node_{node}"
            sources = str(architecture.decisions[f"{prefix}_inputs"]).split("-")
            for source, place in zip(sources, ("first", "second"), strict=True):
                yield node, Term(int(source), str(architecture.decisions[f"{prefix}_{place}"]))

    def _narrowed(self, name: str, weight: Tensor, network: nn.Module) -> Tensor:
        """A plain cell's output lacks the nodes that are zero."""
        assert isinstance(network, DartsNetwork)  # noqa: S101 - for the type checker
        owner, _, part = name.partition(".")
        places = 1
        if owner == "classifier" and weight.dim() > 1:
            feeding, places = max(network.plans), self.frame.head_pool**2
        elif part.startswith("input_") and weight.dim() > 1:
            feeding = network.plans[int(owner.removeprefix("cell_"))].sources[int(part[6])]
        else:
            return weight
        if feeding < 0:
            return weight
        plan = network.plans[feeding]
        kept = [
            (node - self.INPUTS) * plan.channels + channel
            for node in network.nodes[plan.kind]
            for channel in range(plan.channels)
        ]
        if places == 1:
            return weight[:, kept]
        return weight.view(len(weight), -1, places)[:, kept].flatten(1)


class NasBench201Supernet(CnnCellSupernet):
    """Three stages of cells with an operation on every edge."""

    INPUTS = 1

    def __init__(self, settings: CnnCellSettings, task: Task, partial: int) -> None:
        super().__init__(settings, task, partial)
        self.stem = ConvNorm(task.input_shape[0], self.channels, 3, stride=self.frame.stem_stride)
        for stage in range(STAGES):
            width = self.channels * 2**stage
            if stage:
                self.add_module(f"reduction_{stage}", ResidualReduction(width // 2, width))
            for index in range(self.cells):
                self.add_module(
                    f"mixed_{stage}_{index}",
                    MixedCell(self.names, width, self.INPUTS, self._all_nodes, partial=partial),
                )
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width * self.frame.head_pool**2, task.outputs)

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        x = self.stem(x).contiguous(memory_format=self.memory_format)
        for stage in range(STAGES):
            if stage:
                x = self.get_submodule(f"reduction_{stage}")(x)
            for index in range(self.cells):
                cell = self.get_submodule(f"mixed_{stage}_{index}")
                x = self.part(cell, [x], mix["cell"])[-1]
        last = functional.relu(self.norm(x))
        logits: Tensor = self.classifier(_pooled(last, self.frame.head_pool))
        return logits

    @property
    def _all_nodes(self) -> int:
        return self.nodes

    def _kinds(self) -> Sequence[str]:
        return ("cell",)

    def _mixed_cells(self) -> Iterator[tuple[str, str, MixedCell]]:
        for stage in range(STAGES):
            for index in range(self.cells):
                cell = self.get_submodule(f"mixed_{stage}_{index}")
                assert isinstance(cell, MixedCell)  # noqa: S101 - for the type checker
                yield f"stage_{stage}.{index}", "cell", cell

    def _chosen(self, kind: str, mix: list[list[float]]) -> dict[str, Scalar]:
        """The operation with the largest weight on each edge, none included."""
        return {
            f"edge_{source}_{node}": self.names[max(range(len(self.names)), key=row.__getitem__)]
            for (source, node), row in zip(self.edges, mix, strict=True)
        }

    def _terms(self, architecture: Architecture, kind: str) -> Iterator[tuple[int, Term]]:
        for source, node in self.edges:
            yield node, Term(source, str(architecture.decisions[f"edge_{source}_{node}"]))


def _pooled(x: Tensor, side: int) -> Tensor:
    """The mean over the parts of a grid; unlike that of `Tensor.mean`, its gradient has the order
    of x.
    """
    if side > 1:
        return functional.adaptive_avg_pool2d(x, side).flatten(1)
    return x.permute(0, 2, 3, 1).mean(dim=(1, 2))


SUPERNETS: Mapping[str, type[CnnCellSupernet]] = {
    "darts": DartsSupernet,
    "nasbench201": NasBench201Supernet,
}
