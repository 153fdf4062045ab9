"""Convolutional networks of stages: equal blocks in a row, then the next width or resolution.

The classic networks are points of this space: see `models/presets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn

from models.architecture import Architecture, Decision, canonical_json
from models.decisions import (
    Values,
    condition,
    domain_values,
    integer,
    one_or_choice,
    option,
    share,
)
from models.domains import Choice, Range, Scalar, as_domain
from models.family import Body, Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.activation import ACTIVATIONS, ActivationName
from models.operations.blocks import BLOCKS
from models.recipe import Recipe
from models.repeated import repeated
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text

MAX_STAGES = 16
MAX_DEPTH = 64
MAX_WIDTH = 8192
MAX_HEAD_LAYERS = 3
HEAD_POOLS = (1, 2, 4)
"""What is searched where a request leaves it open, as far as it suits the images."""

PADDINGS = ("same", "valid")
NORMS = ("none", "batch")

BlockName = Literal["conv", "residual", "bottleneck", "inverted_residual", "depthwise"]
PoolName = Literal["none", "max_2", "avg_2", "max_3", "max_3_padded"]


@dataclass(frozen=True, slots=True)
class Pool:
    """A window of stride 2."""

    kind: type[nn.MaxPool2d] | type[nn.AvgPool2d]
    kernel: int
    padding: int = 0

    def module(self) -> nn.Module:
        return self.kind(self.kernel, stride=2, padding=self.padding)

    def __str__(self) -> str:
        padding = f", padding={self.padding}" if self.padding else ""
        return f"nn.{self.kind.__name__}({self.kernel}, stride=2{padding})"


POOLS: Mapping[str, Pool | None] = {
    "none": None,
    "max_2": Pool(nn.MaxPool2d, 2),
    "avg_2": Pool(nn.AvgPool2d, 2),
    "max_3": Pool(nn.MaxPool2d, 3),
    "max_3_padded": Pool(nn.MaxPool2d, 3, padding=1),
}


class CnnStagesSettings(FamilySettings):
    """Stages of equal blocks, each stage with choices of its own."""

    stages: Searchable[Annotated[int, Field(ge=1, le=MAX_STAGES)]] = Field(
        Range(1, 3), description="how many"
    )
    block: Searchable[BlockName] = Field(Choice(tuple(BLOCKS)), description="what a stage repeats")
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((8, 16, 32, 64)), description="channels that leave a stage"
    )
    depth: Searchable[Annotated[int, Field(ge=1, le=MAX_DEPTH)]] = Field(
        Range(1, 2), description="blocks of a stage"
    )
    kernel: Searchable[Literal[1, 3, 5, 7, 9, 11]] = Field(
        Choice((3, 5)), description="side of the convolutions that look around"
    )
    stride: Searchable[Annotated[int, Field(ge=1, le=4)]] = Field(
        Choice((1, 2)), description="of the first block of a stage"
    )
    padding: Searchable[Literal["same", "valid"]] = Field(
        "same", description="of the block conv; valid: none, so that the image shrinks"
    )
    expansion: Searchable[Annotated[int, Field(ge=1, le=16)]] = Field(
        Choice((2, 4)),
        description="of inverted_residual: inner channels over those that enter; of bottleneck: "
        "channels that leave over inner ones",
    )
    squeeze_excite: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.25)), description="share of the channels squeezed to; 0: none; not of conv"
    )
    activation: Searchable[ActivationName] = Field(
        Choice(("relu", "silu")), description="of a stage"
    )
    pool: Searchable[PoolName] = Field("none", description="after a stage, of stride 2")
    norm: Searchable[Literal["none", "batch"]] = Field(
        "batch", description="batch: after every convolution where the recipe has batch_norm"
    )
    head_pool: Searchable[Annotated[int, Field(ge=1, le=32)]] = Field(
        1,
        description="side of the grid to which the mean is taken before the head, 1: over all "
        "pixels; left out: 1, 2 and 4 are searched where the images are large enough",
    )
    head_layers: Searchable[Annotated[int, Field(ge=0, le=MAX_HEAD_LAYERS)]] = Field(
        0, description="hidden layers between the stages and the classifier"
    )
    head_width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((32, 64, 128)), description="units of such a layer"
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        if len(task.input_shape) != 3 or "head_pool" in self.model_fields_set:
            return self
        pools = [side for side in HEAD_POOLS if side <= self._usual_side(task)] or [1]
        return self.model_copy(update={"head_pool": one_or_choice(pools)})

    def _usual_side(self, task: Task) -> int:
        """The shorter side of what a middling number of stages leaves, each with its strongest
        stride and pooling.
        """
        counts, pools = domain_values(self.stages), as_domain(self.pool).values()
        shrinks = max(domain_values(self.stride)) * (1 if pools == ("none",) else 2)
        return int(min(task.input_shape[1:]) // shrinks ** counts[len(counts) // 2])


@dataclass(frozen=True, slots=True)
class Stage:
    """What the decisions say about one stage; `options` are those of its block."""

    block: str
    width: int
    depth: int
    kernel: int
    stride: int
    activation: str
    options: Mapping[str, Scalar]
    pool: str

    @property
    def padding(self) -> int:
        return 0 if self.options.get("padding") == "valid" else self.kernel // 2

    def calls(self, in_channels: int, batch_norm: bool) -> Iterator[tuple[list[int], Keywords]]:
        """Positional and keyword arguments of each block; what is the default is left out."""
        keywords: Keywords = {}
        for name, value in self.options.items():
            if name == "padding" and value == "valid":
                keywords["padding"] = 0
            elif name != "padding" and value:
                keywords[name] = value
        if self.activation != "relu":
            keywords["activation"] = ACTIVATIONS[self.activation]
        if not batch_norm:
            keywords["batch_norm"] = False
        for index in range(self.depth):
            strided = {"stride": self.stride} if index == 0 and self.stride > 1 else {}
            entering = in_channels if index == 0 else self.width
            yield [entering, self.width, self.kernel], strided | keywords


Keywords = dict[str, Scalar | type[nn.Module]]
Size = tuple[int, int]


class Network(nn.Module):
    """Stages, mean over parts of the image, fully connected layers.

    Shapes:
        (N, *task.input_shape) -> (N, task.outputs) logits
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        batch_norm: bool,
        head_pool: int,
        head_widths: Sequence[int],
        task: Task,
        dropout: float,
    ) -> None:
        super().__init__()
        self.plan, self.batch_norm, self.task = stages, batch_norm, task
        channels = task.input_shape[0]
        for number, stage in enumerate(stages, 1):
            make = BLOCKS[stage.block].module
            blocks = [
                repeated((make, *given, *named.items()), partial(make, *given, **named))
                for given, named in stage.calls(channels, batch_norm)
            ]
            pool = POOLS[stage.pool]
            pooling = [pool.module()] if pool else []
            self.add_module(f"stage_{number}", nn.Sequential(*blocks, *pooling))
            channels = stage.width
        self.pool = nn.AdaptiveAvgPool2d(head_pool)
        self.head_pool, self.head_widths, self.dropout = head_pool, head_widths, dropout
        entering = channels * head_pool**2
        layers: list[nn.Module] = []
        for width in head_widths:
            layers += [*_dropout(dropout), nn.Linear(entering, width)]
            layers.append(ACTIVATIONS[stages[-1].activation]())
            entering = width
        self.head = nn.Sequential(*layers, *_dropout(dropout), nn.Linear(entering, task.outputs))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for number in range(1, len(self.plan) + 1):
            x = self.get_submodule(f"stage_{number}")(x)
        logits: Tensor = self.head(self.pool(x).flatten(1))
        return logits

    def body(self) -> Body:
        return Body("head", f"stage_{len(self.plan)}")


@families.register("cnn_stages")
class CnnStages:
    """Decisions: `stages`, `norm`, `head_pool`, `head_layers`, `head_{i}_width`, and for each stage
    from 1 on `stage_{i}_block`, `..._width`, `..._depth`, `..._kernel`, `..._stride`,
    `..._activation`, `..._pool`, and those of `..._padding`, `..._expansion`,
    `..._squeeze_excite` that its block has.
    """

    Settings = CnnStagesSettings
    tasks = frozenset({"image_classification"})
    pretrainable = True
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": (("norm", ("batch",)),)}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, CnnStagesSettings):
            raise TypeError(f"cnn_stages needs CnnStagesSettings, got {type(settings).__name__}")
        _check_task(task)
        _check_settings(settings, task)
        counts = domain_values(settings.stages)
        heads = domain_values(settings.head_layers)
        decisions = [
            Decision("stages", as_domain(settings.stages)),
            Decision("norm", as_domain(settings.norm)),
            Decision("head_pool", as_domain(settings.head_pool)),
            Decision("head_layers", as_domain(settings.head_layers)),
        ]
        for number in range(1, max(heads) + 1):
            when = condition("head_layers", settings.head_layers, [n for n in heads if n >= number])
            decisions.append(Decision(f"head_{number}_width", as_domain(settings.head_width), when))
        for number in range(1, max(counts) + 1):
            when = condition("stages", settings.stages, [n for n in counts if n >= number])
            decisions += _stage_decisions(settings, f"stage_{number}", when)
        return decisions

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        stages = _stages(values)
        size = (task.input_shape[1], task.input_shape[2])
        for number, stage in enumerate(stages, 1):
            size = _size_after(stage, size, f"stage_{number}")
        head_pool = integer(values, "head_pool")
        if head_pool > min(size):
            raise InfeasibleError(
                "head_pool",
                f"head_pool {head_pool} needs as many pixels a side after the stages, "
                f"got {size[0]}x{size[1]}",
            )
        batch_norm = recipe.batch_norm and option(values, "norm", NORMS) == "batch"
        widths = _head_widths(values)
        return Network(stages, batch_norm, head_pool, widths, task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """One text for the row of blocks, however it is cut into stages; it is an identity and
        cannot be built.
        """
        values = architecture.decisions
        if "stages" not in values:  # only a representative has none
            return architecture
        blocks = [part for stage in _stages(values) for part in _row(stage)]
        return Architecture(
            "cnn_stages",
            {
                "blocks": canonical_json(blocks),
                "head": canonical_json([integer(values, "head_pool"), *_head_widths(values)]),
                "norm": values["norm"],
            },
        )

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of stages, got {type(network).__name__}")
        blocks = dict.fromkeys(BLOCKS[stage.block].module for stage in network.plan)
        return Definition(tuple(blocks), _text(network))


def _stage_decisions(
    settings: CnnStagesSettings, prefix: str, when: tuple[tuple[str, tuple[Scalar, ...]], ...]
) -> Iterator[Decision]:
    for name in ("block", "width", "depth", "kernel", "stride", "activation", "pool"):
        yield Decision(f"{prefix}_{name}", as_domain(getattr(settings, name)), when)
    asked = as_domain(settings.block).values()
    for name in ("padding", "expansion", "squeeze_excite"):
        able = [block for block in asked if name in BLOCKS[str(block)].options]
        if able:
            has = condition(f"{prefix}_block", settings.block, able)
            yield Decision(f"{prefix}_{name}", as_domain(getattr(settings, name)), when + has)


def _stages(values: Values) -> list[Stage]:
    return [_stage(values, f"stage_{n}") for n in range(1, integer(values, "stages") + 1)]


def _stage(values: Values, prefix: str) -> Stage:
    block = option(values, f"{prefix}_block", BLOCKS)
    kernel, width = integer(values, f"{prefix}_kernel"), integer(values, f"{prefix}_width")
    if kernel % 2 == 0:
        raise InfeasibleError(f"{prefix}_kernel", f"{prefix}_kernel must be odd, got {kernel}")
    options: dict[str, Scalar] = {}
    for name in BLOCKS[block].options:
        if name == "padding":
            options[name] = option(values, f"{prefix}_{name}", PADDINGS)
        elif name == "expansion":
            options[name] = integer(values, f"{prefix}_{name}")
        else:
            options[name] = share(values, f"{prefix}_{name}")
    if block == "bottleneck" and width % int(options["expansion"]):
        raise InfeasibleError(
            f"{prefix}_expansion",
            f"the expansion of a bottleneck divides its width, got expansion "
            f"{options['expansion']} and width {width}",
        )
    return Stage(
        block,
        width,
        integer(values, f"{prefix}_depth"),
        kernel,
        integer(values, f"{prefix}_stride"),
        option(values, f"{prefix}_activation", ACTIVATIONS),
        options,
        option(values, f"{prefix}_pool", POOLS),
    )


def _head_widths(values: Values) -> list[int]:
    count = integer(values, "head_layers", low=0)
    return [integer(values, f"head_{number}_width") for number in range(1, count + 1)]


def _size_after(stage: Stage, size: Size, prefix: str) -> Size:
    """Height and width of the image that leaves a stage.

    Raises:
        InfeasibleError: the image is too small for a convolution, its stride or the pooling.
    """
    stride = stage.stride
    for _ in range(stage.depth):
        if stride > 1 and min(size) == 1:
            raise _too_small(f"{prefix}_stride", f"a stride of {stride}", 2, size)
        if min(size) + 2 * stage.padding < stage.kernel:
            what = f"a kernel of {stage.kernel} without padding"
            raise _too_small(f"{prefix}_kernel", what, stage.kernel, size)
        size = _after(size, stage.kernel, stride, stage.padding)
        stride = 1
    pool = POOLS[stage.pool]
    if pool is None:
        return size
    needed = max(2, pool.kernel - 2 * pool.padding)
    if min(size) < needed:
        raise _too_small(f"{prefix}_pool", f"the pooling {stage.pool}", needed, size)
    return _after(size, pool.kernel, 2, pool.padding)


def _after(size: Size, kernel: int, stride: int, padding: int) -> Size:
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


def _too_small(field: str, what: str, needed: int, size: Size) -> InfeasibleError:
    return InfeasibleError(
        field, f"{what} needs at least {needed} pixels a side, got {size[0]}x{size[1]}"
    )


def _check_settings(settings: CnnStagesSettings, task: Task) -> None:
    """Refuse a request of which no network leaves anything of the image.

    Raises:
        InfeasibleError: even with the gentlest choices the image is too small.
    """
    size = (task.input_shape[1], task.input_shape[2])
    shrinks = as_domain(settings.block).values() == ("conv",) and as_domain(
        settings.padding
    ).values() == ("valid",)
    depth, kernel, stride = (
        min(domain_values(domain)) for domain in (settings.depth, settings.kernel, settings.stride)
    )
    options = {"padding": "valid" if shrinks else "same"}
    for _ in range(min(domain_values(settings.stages))):
        left: list[Size] = []
        refusals: list[InfeasibleError] = []
        for pool in as_domain(settings.pool).values():
            stage = Stage("conv", 1, depth, kernel, stride, "relu", options, str(pool))
            try:
                left.append(_size_after(stage, size, "stage"))
            except InfeasibleError as error:
                refusals.append(error)
        if not left:
            field = refusals[0].field.removeprefix("stage_")
            raise InfeasibleError(field, str(refusals[0]))
        size = max(left)
    if min(domain_values(settings.head_pool)) > min(size):
        raise InfeasibleError(
            "head_pool",
            f"head_pool {min(domain_values(settings.head_pool))} needs as many pixels a side "
            f"after the stages, got at most {size[0]}x{size[1]}",
        )


def _row(stage: Stage) -> Iterator[list[Scalar]]:
    """Each block of a stage, then its pooling, as lists of values."""
    options = dict(stage.options)
    if stage.kernel == 1:  # nothing to pad
        options.pop("padding", None)
    for index in range(stage.depth):
        stride = stage.stride if index == 0 else 1
        yield [stage.block, stage.width, stage.kernel, stride, stage.activation, *options.values()]
    if stage.pool != "none":
        yield [stage.pool]


def _dropout(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share else []


def _text(network: Network) -> str:
    constructor: list[str] = []
    channels = network.task.input_shape[0]
    for number, stage in enumerate(network.plan, 1):
        name = BLOCKS[stage.block].module.__name__
        parts: list[str | Call] = [
            Call(name, [*map(str, given), *map(_keyword, named.items())])
            for given, named in stage.calls(channels, network.batch_norm)
        ]
        if pool := POOLS[stage.pool]:
            parts.append(str(pool))
        constructor += call_lines(f"self.stage_{number} = ", Call("nn.Sequential", parts))
        channels = stage.width
    constructor.append(f"self.pool = nn.AdaptiveAvgPool2d({network.head_pool})")
    layers = [_layer_text(layer) for layer in network.head]
    constructor += call_lines("self.head = ", Call("nn.Sequential", layers))
    stages = [f"x = self.stage_{number}(x)" for number in range(2, len(network.plan) + 1)]
    shape = ", ".join(map(str, network.task.input_shape))
    return module_text(
        "Network",
        [f"(N, {shape}) -> (N, {network.task.outputs}) logits."],
        [],
        constructor,
        ["images"],
        ["x = self.stage_1(images)", *stages, "return self.head(self.pool(x).flatten(1))"],
    )


def _keyword(argument: tuple[str, Scalar | type[nn.Module]]) -> str:
    name, value = argument
    return f"{name}=nn.{value.__name__}" if isinstance(value, type) else f"{name}={value}"


def _layer_text(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"nn.Linear({layer.in_features}, {layer.out_features})"
    if isinstance(layer, nn.Dropout):
        return f"nn.Dropout({layer.p})"
    return f"nn.{type(layer).__name__}()"


def _check_task(task: Task) -> None:
    if task.form not in CnnStages.tasks or len(task.input_shape) != 3:
        raise InfeasibleError(
            "family",
            "cnn_stages needs the task image_classification with an input of (channels, height, "
            f"width), got {task.name} with {task.input_shape}",
        )
