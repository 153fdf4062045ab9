"""Convolutional networks of repeated cells, in the topology of DARTS or of NAS-Bench-201."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo
from torch import nn

from models.architecture import Architecture, Decision
from models.cells import FRAME, Frame, Topology, check_image, halved
from models.cells.darts import Darts
from models.cells.nasbench201 import NasBench201
from models.decisions import domain_values, integer, one_or_choice, option
from models.domains import Choice, Range, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations import allowed, operations
from models.recipe import Recipe
from models.settings import Items, Searchable
from models.task import Task

DARTS = Darts()
TOPOLOGIES: dict[str, Topology] = {"darts": DARTS, "nasbench201": NasBench201()}
NAMES = tuple(TOPOLOGIES)
MAX_NODES = 8
MAX_CELLS = 64
MAX_CHANNELS = 1024
STEM_STRIDES, LARGE_SIDE = (1, 2, 4), 64
HEAD_POOLS = (1, 2, 4)
"""What is searched where a request leaves it open, as far as it suits the images: cells see sides
of at most `LARGE_SIDE`, and leave as many pixels a side as the largest grid has.
"""


class CnnCellSettings(FamilySettings):
    """Cells of one topology, their number and their width."""

    topology: Literal["darts", "nasbench201"] = Field(
        "darts", description="darts: a node picks two inputs; nasbench201: an operation an edge"
    )
    operations: Items[str] = Field(
        DARTS.operations,
        min_length=1,
        max_length=64,
        description="what an edge may do; default: the standard operations of the topology",
    )
    nodes: Searchable[Annotated[int, Field(ge=1, le=MAX_NODES)]] = Field(
        DARTS.nodes,
        description="darts: nodes beside the two inputs, default 3; nasbench201: all, default 4",
    )
    channels: Searchable[Annotated[int, Field(ge=2, le=MAX_CHANNELS)]] = Field(
        DARTS.channels,
        description="of the first cells, doubled by a reduction; default: darts 8, nasbench201 16",
    )
    cells: Searchable[Annotated[int, Field(ge=1, le=MAX_CELLS)]] = Field(
        DARTS.cells,
        description="darts: in all, default 3; nasbench201: per stage, default 1",
    )
    stem_stride: Searchable[Literal[1, 2, 4]] = Field(
        1,
        description="of the first convolution; left out: those that suit the size of the images "
        "are searched",
    )
    head_pool: Searchable[Annotated[int, Field(ge=1, le=32)]] = Field(
        1,
        description="side of the grid to which the mean is taken before the classifier, 1: over "
        "all pixels; left out: 1, 2 and 4 are searched where the images are large enough",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_to_the_topology(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("topology") not in NAMES:
            return data
        topology = TOPOLOGIES[data["topology"]]
        names = ("operations", "nodes", "channels", "cells")
        return {**{name: getattr(topology, name) for name in names}, **data}

    @field_validator("operations")
    @classmethod
    def _are_of_the_topology(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        topology = info.data.get("topology")
        if topology is None:
            return names
        known = allowed(topology)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"{unknown} are not operations of {topology}, allowed are {', '.join(known)}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"each operation is listed once, got {list(names)}")
        return names

    @field_validator("nodes")
    @classmethod
    def _join_input_and_output(
        cls, nodes: int | Choice | Range, info: ValidationInfo
    ) -> int | Choice | Range:
        if info.data.get("topology") == "nasbench201" and min(domain_values(nodes)) < 2:
            raise ValueError("a nasbench201 cell has at least 2 nodes, its input and its output")
        return nodes

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        said = self.model_fields_set
        if len(task.input_shape) != 3 or said.issuperset(FRAME):
            return self
        strides = self._strides(task)
        if "stem_stride" in said:
            strides = domain_values(self.stem_stride)
        left = min(self._side_left(task, stride) for stride in strides)
        pools = [side for side in HEAD_POOLS if side <= left] or [1]
        found = {"stem_stride": strides[:1], "head_pool": pools[-1:]}
        if not shares_weights:
            found = {"stem_stride": strides, "head_pool": pools}
        return self.model_copy(
            update={name: one_or_choice(found[name]) for name in FRAME if name not in said}
        )

    def _strides(self, task: Task) -> Sequence[int]:
        """Of the first convolution, that suit the images."""
        leaving = [s for s in STEM_STRIDES if self._side_left(task, s) >= HEAD_POOLS[-1]] or [1]
        quick = [s for s in leaving if min(Frame(s).after_stem(task)) <= LARGE_SIDE]
        return quick or leaving[-1:]

    def _side_left(self, task: Task, stride: int) -> int:
        """The shorter side of what the most cells leave."""
        size = Frame(stride).after_stem(task)
        for _ in range(TOPOLOGIES[self.topology].reductions(max(domain_values(self.cells)))):
            size = halved(size)
        return min(size)


@families.register("cnn_cell")
class CnnCell:
    """Decisions: `topology`, `nodes`, `cells`, `channels`, then those of the topology, and
    `stem_stride` and `head_pool` where they may be other than 1.

    DARTS: `{normal,reduction}_node_{i}_inputs`, a pair of earlier nodes as "0-2", and
    `..._first`, `..._second`, the operations of the two. NAS-Bench-201: `edge_{source}_{node}`.
    """

    Settings = CnnCellSettings
    tasks = frozenset({"image_classification"})
    pretrainable = True
    recipe_when: ClassVar[RecipeWhen] = {}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, CnnCellSettings):
            raise TypeError(f"cnn_cell needs CnnCellSettings, got {type(settings).__name__}")
        _check_task(task)
        topology = TOPOLOGIES[settings.topology]
        if all(operations[name].is_zero for name in settings.operations):
            raise InfeasibleError("operations", "needs an operation other than none")
        gentlest = {name: min(domain_values(getattr(settings, name))) for name in FRAME}
        cells = min(domain_values(settings.cells))
        check_image(task, topology.reductions(cells), Frame(**gentlest), cells)
        return [
            Decision("topology", Choice((settings.topology,))),
            Decision("nodes", as_domain(settings.nodes)),
            Decision("cells", as_domain(settings.cells)),
            Decision("channels", as_domain(settings.channels)),
            *topology.decisions(settings.nodes, settings.cells, settings.operations),
            *(
                Decision(name, as_domain(domain), absent=getattr(Frame(), name))
                for name in FRAME
                if domain_values(domain := getattr(settings, name)) != (1,)
            ),
        ]

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        topology = _topology(architecture)
        cells = integer(values, "cells")
        check_image(task, topology.reductions(cells), Frame.of(values), cells)
        return topology.build(values, task, recipe.dropout, recipe.batch_norm)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The representative names each cell by a text; it is an identity and cannot be built."""
        values = architecture.decisions
        if "nodes" not in values:  # only a representative has none
            return architecture
        kept = {name: values[name] for name in ("topology", "cells", "channels")}
        kept |= Frame.of(values).decisions()
        return Architecture("cnn_cell", {**kept, **_topology(architecture).canonical(values)})

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        return _topology(architecture).definition(network)


def _topology(architecture: Architecture) -> Topology:
    return TOPOLOGIES[option(architecture.decisions, "topology", NAMES)]


def _check_task(task: Task) -> None:
    if task.form not in CnnCell.tasks or len(task.input_shape) != 3:
        raise InfeasibleError(
            "family",
            "cnn_cell needs the task image_classification with an input of (channels, height, "
            f"width), got {task.name} with {task.input_shape}",
        )
