"""Transformers: residual blocks of a token mixer and a feed-forward part, on texts, series and
patches of images.

A language model is causal, all others look both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.decisions import (
    Values,
    canonical_with_view,
    condition,
    domain_values,
    integer,
    option,
    share,
    window_decisions,
    window_view,
)
from models.domains import Choice, Range, as_domain
from models.family import Body, Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.activation import ACTIVATIONS, ActivationName
from models.operations.attention import (
    Attention,
    Block,
    ClassToken,
    Convolution,
    LearnedPositions,
    Patches,
    Pooling,
    SinusoidalPositions,
)
from models.operations.window_view import WindowView
from models.recipe import Recipe
from models.remarks import Remark
from models.repeated import repeated
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text

MAX_LAYERS = 64
MAX_HEADS = 128
MAX_WIDTH = 16_384
MAX_PATCH = 256
MIXERS: Mapping[str, type[nn.Module]] = {
    "attention": Attention,
    "convolution": Convolution,
    "pooling": Pooling,
}
NORMS = ("pre", "post")
POSITIONS = ("sinusoidal", "learned", "rotary")
READOUTS = ("mean", "token")


class TransformerSettings(FamilySettings):
    """Blocks of one width; the token mixer is decided for each of them."""

    layers: Searchable[Annotated[int, Field(ge=1, le=MAX_LAYERS)]] = Field(
        Range(1, 3), description="blocks"
    )
    width: Searchable[Annotated[int, Field(ge=2, le=MAX_WIDTH)]] = Field(
        Choice((32, 64)), description="values of a token"
    )
    heads: Searchable[Annotated[int, Field(ge=1, le=MAX_HEADS)]] = Field(
        Choice((2, 4)), description="of attention; they divide the width"
    )
    feed_forward: Searchable[Annotated[int, Field(ge=1, le=16)]] = Field(
        Choice((2, 4)), description="inner width of the feed-forward part over the width"
    )
    mixer: Searchable[Literal["attention", "convolution", "pooling"]] = Field(
        Choice(tuple(MIXERS)), description="of a block: what brings tokens together"
    )
    kernel: Searchable[Literal[3, 5, 7, 9, 11, 15, 21, 31]] = Field(
        Choice((3, 7)), description="tokens that convolution and pooling look at"
    )
    activation: Searchable[ActivationName] = Field(
        Choice(("gelu", "relu", "silu")), description="in the feed-forward part"
    )
    norm: Searchable[Literal["pre", "post"]] = Field(
        Choice(NORMS), description="of what enters a part of a block, or of the sum after it"
    )
    positions: Searchable[Literal["sinusoidal", "learned", "rotary"]] = Field(
        Choice(POSITIONS), description="how a token knows its place; rotary: in attention alone"
    )
    readout: Searchable[Literal["mean", "token"]] = Field(
        Choice(READOUTS),
        description="what the answer is read from, but in a language model: the mean of the "
        "tokens, or a class token before them; default: the mean, and either where every mixer is "
        "attention",
    )
    relative: Searchable[bool] = Field(
        Choice((True, False)),
        description="whether a forecast is one of differences to the last step of the window",
    )
    window_scaling: Searchable[Literal["none", "mean", "last"]] = Field(
        "none",
        description="whether the window of a forecast is scaled by itself: less its mean or its "
        "last step, over its deviation, which is undone on the forecast",
    )
    patch: Searchable[Annotated[int, Field(ge=1, le=MAX_PATCH)]] = Field(
        Choice((2, 4, 7)), description="side of the squares that an image is cut into"
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.1)), description="of positions and of what a block adds"
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        """Without a class token where a network may have no block that brings it all the others."""
        if "readout" in self.model_fields_set or not self._may_look_nearby_alone:
            return self
        return self.model_copy(update={"readout": "mean"})

    def doubts(self, task: Task) -> Sequence[Remark]:
        tokens = "token" in as_domain(self.readout).values() and task.name != "language_modeling"
        if not tokens or not self._may_look_nearby_alone:
            return ()
        message = (
            "a class token sees all of a sample by attention alone: in networks whose mixers are "
            "all convolution or pooling it knows the beginning at most; mixer attention, or "
            "readout mean, has none of them"
        )
        return (Remark("class_token_unseeing", message, "readout"),)

    @property
    def _may_look_nearby_alone(self) -> bool:
        """Whether some network has no attention."""
        return as_domain(self.mixer).values() != ("attention",)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the decisions say. `mixers` are the arguments of each block's mixer by its name;
    `patch` is 0 where there is no image, `readout` is none in a language model; `view` is how
    a forecast sees its window, None: as it is.
    """

    width: int
    mixers: Sequence[tuple[str, Sequence[int | str]]]
    inner: int
    activation: str
    pre_norm: bool
    positions: str
    readout: str
    patch: int
    dropout: float
    view: WindowView | None = None


class Network(nn.Module):
    """Tokens, positions, blocks, a linear map of the readout or of every token.

    Shapes:
        (N, *task.input_shape) -> (N, task.outputs), (N, length, vocabulary) of a language model
    """

    def __init__(self, plan: Plan, task: Task, output_dropout: float) -> None:
        super().__init__()
        self.plan, self.task = plan, task
        width = plan.width
        self.tokens: nn.Module
        if task.vocabulary is not None:
            self.tokens = nn.Embedding(task.vocabulary, width)
            if plan.positions != "sinusoidal":  # whose values are as large as an embedding's
                nn.init.normal_(self.tokens.weight, std=0.02)
        elif plan.patch:
            self.tokens = Patches(task.input_shape[0], width, plan.patch)
        else:
            self.tokens = nn.Linear(task.input_shape[1], width)
        self.class_token = ClassToken(width) if plan.readout == "token" else None
        if plan.positions == "learned":
            self.positions: nn.Module | None = LearnedPositions(self.length, width)
        else:
            self.positions = SinusoidalPositions() if plan.positions == "sinusoidal" else None
        self.norm = nn.LayerNorm(width)
        self.embedding_dropout = nn.Dropout(plan.dropout)
        self.blocks = [f"block_{number}" for number in range(1, len(plan.mixers) + 1)]
        for name, (mixer, arguments) in zip(self.blocks, plan.mixers, strict=True):
            make = partial(self._block, mixer, arguments)
            self.add_module(name, repeated((Block, mixer, *arguments), make))
        self.dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(width, task.outputs, bias=task.name != "language_modeling")

    def _block(self, mixer: str, arguments: Sequence[int | str]) -> Block:
        return Block(
            MIXERS[mixer](*arguments, **self.flags(mixer)),
            self.plan.width,
            self.plan.inner,
            ACTIVATIONS[self.plan.activation],
            self.plan.pre_norm,
            self.plan.dropout,
        )

    @property
    def length(self) -> int:
        """Tokens of a sample, with the class token."""
        shape = self.task.input_shape
        patch = self.plan.patch
        count = shape[1] // patch * (shape[2] // patch) if patch else shape[0]
        return count + (self.plan.readout == "token")

    @property
    def masked(self) -> bool:
        return self.task.form == "text_classification"

    def flags(self, mixer: str) -> dict[str, bool]:
        """Of a mixer's constructor; what is the default is left out."""
        flags = {}
        if self.task.name == "language_modeling":
            flags["causal"] = True
        if mixer == "attention" and self.plan.positions == "rotary":
            flags["rotary"] = True
        return flags

    def forward(self, inputs: Tensor) -> Tensor:
        view = self.plan.view
        return self.outputs(inputs) if view is None else view(inputs, self.outputs)

    def outputs(self, inputs: Tensor) -> Tensor:
        x, mask = self.embedded(inputs)
        for name in self.blocks:
            x = self.get_submodule(name)(x, mask)
        return self.read(x, mask)

    def embedded(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """What enters the first block, and the mask of a mixer."""
        mask = None
        if self.masked:  # padding is the token 0; an empty text still has its first place
            first = torch.arange(inputs.shape[1], device=inputs.device) == 0
            mask = (inputs != 0) | first
        x: Tensor = self.tokens(inputs)
        if self.class_token is not None:
            x = self.class_token(x)
            mask = None if mask is None else nn.functional.pad(mask, (1, 0), value=True)
        if self.positions is not None:
            x = self.positions(x)
        if not self.plan.pre_norm:
            x = self.norm(x)
        return self.embedding_dropout(x), mask

    def read(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The outputs for what the last block gives."""
        if self.plan.pre_norm:
            x = self.norm(x)
        if self.plan.readout == "mean" and mask is not None:
            x = (x * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        elif self.plan.readout == "mean":
            x = x.mean(dim=1)
        elif self.plan.readout == "token":
            x = x[:, 0]
        outputs: Tensor = self.output(self.dropout(x))
        return outputs

    def body(self) -> Body:
        return Body("output", "norm" if self.plan.pre_norm else self.blocks[-1])


@families.register("transformer")
class Transformer:
    """Decisions: `layers`, `width`, `heads`, `feed_forward`, `activation`, `norm`, `positions`,
    `dropout`; `readout` but of a language model; `patch` of images; of a forecast whose targets are
    known `window_scaling`, where it is not left at none, and `relative` of a window that is not
    scaled; and for each block from 1 on `layer_{i}_mixer` and, of convolution and
    pooling, `layer_{i}_kernel`.

    The last normalisation of pre-norm blocks is that of the embedding in post-norm ones.
    """

    Settings = TransformerSettings
    tasks = frozenset(
        {
            "forecasting",
            "sequence_classification",
            "text_classification",
            "language_modeling",
            "image_classification",
        }
    )
    pretrainable = True
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, TransformerSettings):
            raise TypeError(f"transformer needs TransformerSettings, got {type(settings).__name__}")
        _check_task(task)
        counts, mixers = domain_values(settings.layers), as_domain(settings.mixer).values()
        names = ["layers", "width", "feed_forward", "activation", "norm", "positions", "dropout"]
        if task.name != "language_modeling":
            names.append("readout")
        if "attention" in mixers:
            names.append("heads")
        decisions = [Decision(name, as_domain(getattr(settings, name))) for name in names]
        decisions += window_decisions(settings.window_scaling, settings.relative, task)
        if mixers == ("attention",):
            _check_heads(settings)
        if task.form == "image_classification":
            decisions.append(Decision("patch", Choice(_patches(settings, task))))
        for layer in range(1, max(counts) + 1):
            deep = condition("layers", settings.layers, [n for n in counts if n >= layer])
            decisions.append(Decision(f"layer_{layer}_mixer", as_domain(settings.mixer), deep))
            local = [mixer for mixer in mixers if mixer != "attention"]
            if local:
                when = deep + condition(f"layer_{layer}_mixer", settings.mixer, local)
                kernel = Decision(f"layer_{layer}_kernel", as_domain(settings.kernel), when)
                decisions.append(kernel)
        return decisions

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        return Network(_plan(architecture.decisions, task), task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """Without `heads` where no block has attention, nor what says nothing of how a window is
        seen; a dropout of 0 is the number 0.0.
        """
        values = canonical_with_view(architecture.decisions)
        if "attention" not in _mixer_names(values):
            values.pop("heads", None)
        return Architecture("transformer", values)

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(
                f"expected a network of the family transformer, got {type(network).__name__}"
            )
        used = {type(module) for module in network.modules()}
        parts = (*MIXERS.values(), Patches, ClassToken, LearnedPositions, SinusoidalPositions)
        return Definition((*(part for part in parts if part in used), Block), _text(network))


def _plan(values: Values, task: Task) -> Plan:
    """
    Raises:
        InfeasibleError: the decisions do not make a network for the task.
    """
    width = integer(values, "width", low=2)
    positions = option(values, "positions", POSITIONS)
    language = task.name == "language_modeling"
    mixers: list[tuple[str, Sequence[int | str]]] = []
    for layer, mixer in enumerate(_mixer_names(values), 1):
        if mixer == "attention":
            mixers.append((mixer, [width, _heads(values, width, positions)]))
            continue
        kernel = integer(values, f"layer_{layer}_kernel")
        if kernel % 2 == 0:
            raise InfeasibleError(
                f"layer_{layer}_kernel", f"layer_{layer}_kernel must be odd, got {kernel}"
            )
        mixers.append((mixer, [kernel] if mixer == "pooling" else [width, kernel]))
    image = task.form == "image_classification"
    return Plan(
        width,
        mixers,
        width * integer(values, "feed_forward"),
        option(values, "activation", ACTIVATIONS),
        option(values, "norm", NORMS) == "pre",
        positions,
        "none" if language else option(values, "readout", READOUTS),
        _patch(integer(values, "patch"), task) if image else 0,
        share(values, "dropout"),
        window_view(values, task),
    )


def _mixer_names(values: Values) -> list[str]:
    layers = range(1, integer(values, "layers") + 1)
    return [option(values, f"layer_{layer}_mixer", MIXERS) for layer in layers]


def _heads(values: Values, width: int, positions: str) -> int:
    heads = integer(values, "heads")
    if width % heads:
        raise InfeasibleError(
            "heads", f"the heads divide the width, got {heads} heads and width {width}"
        )
    if positions == "rotary" and width // heads % 2:
        raise InfeasibleError(
            "positions",
            f"rotary positions turn pairs of values, got {width // heads} values a head: "
            f"{heads} heads and width {width}",
        )
    return heads


def _check_heads(settings: TransformerSettings) -> None:
    """
    Raises:
        InfeasibleError: no number of heads divides any width.
    """
    heads, widths = domain_values(settings.heads), domain_values(settings.width)
    if not any(width % count == 0 for width in widths for count in heads):
        raise InfeasibleError(
            "heads",
            f"the heads divide the width, got heads {_listed(heads)} and width {_listed(widths)}",
        )


def _patches(settings: TransformerSettings, task: Task) -> tuple[int, ...]:
    """Those that divide the image.

    Raises:
        InfeasibleError: there is none.
    """
    asked = domain_values(settings.patch)
    sides = task.input_shape[1:]
    fitting = tuple(size for size in asked if not any(side % size for side in sides))
    if not fitting:
        raise _no_patch(_listed(asked), task)
    return fitting


def _patch(size: int, task: Task) -> int:
    if any(side % size for side in task.input_shape[1:]):
        raise _no_patch(str(size), task)
    return size


def _no_patch(got: str, task: Task) -> InfeasibleError:
    height, width = task.input_shape[1:]
    return InfeasibleError(
        "patch", f"a patch divides both sides of the image, got {got} and {height}x{width} pixels"
    )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _text(network: Network) -> str:
    plan, task = network.plan, network.task
    width, outputs = plan.width, task.outputs
    if task.vocabulary is not None:
        tokens = f"nn.Embedding({task.vocabulary}, {width})"
    elif plan.patch:
        tokens = f"Patches({task.input_shape[0]}, {width}, {plan.patch})"
    else:
        tokens = f"nn.Linear({task.input_shape[1]}, {width})"
    constructor = [f"self.tokens = {tokens}"]
    forward: list[str] = []
    inputs, after = "inputs", ""
    if plan.view is not None:
        inputs = "x"
        forward, after = plan.view.lines(outputs)
    mask = ", mask" if network.masked else ""
    if network.masked:
        forward += [
            "first = torch.arange(inputs.shape[1], device=inputs.device) == 0",
            "mask = (inputs != 0) | first  # padding is 0; an empty text still has its first place",
        ]
    forward.append(f"x = self.tokens({inputs})")
    if plan.readout == "token":
        constructor.append(f"self.class_token = ClassToken({width})")
        forward.append("x = self.class_token(x)")
        if network.masked:
            forward.append("mask = functional.pad(mask, (1, 0), value=True)")
    if plan.positions != "rotary":
        learned = f"LearnedPositions({network.length}, {width})"
        made = learned if plan.positions == "learned" else "SinusoidalPositions()"
        constructor.append(f"self.positions = {made}")
        forward.append("x = self.positions(x)")
    constructor.append(f"self.norm = nn.LayerNorm({width})")
    if not plan.pre_norm:
        forward.append("x = self.norm(x)")
    if plan.dropout:
        constructor.append(f"self.embedding_dropout = nn.Dropout({plan.dropout})")
        forward.append("x = self.embedding_dropout(x)")
    for name, (mixer, arguments) in zip(network.blocks, plan.mixers, strict=True):
        constructor += call_lines(f"self.{name} = ", _block(network, mixer, arguments))
        forward.append(f"x = self.{name}(x{mask})")
    if plan.pre_norm:
        forward.append("x = self.norm(x)")
    if plan.readout == "mean" and network.masked:
        forward.append("x = (x * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)")
    elif plan.readout == "mean":
        forward.append("x = x.mean(dim=1)")
    read = "x[:, 0]" if plan.readout == "token" else "x"
    if network.dropout.p:
        constructor.append(f"self.dropout = nn.Dropout({network.dropout.p})")
        read = f"self.dropout({read})"
    bias = "" if network.output.bias is not None else ", bias=False"
    constructor.append(f"self.output = nn.Linear({width}, {outputs}{bias})")
    shape = ", ".join(map(str, task.input_shape))
    every = f"{shape}, " if task.name == "language_modeling" else ""
    return module_text(
        "Network",
        [f"(N, {shape}) -> (N, {every}{outputs})."],
        [],
        constructor,
        [inputs],
        [*forward, f"return self.output({read}){after}"],
    )


def _block(network: Network, mixer: str, arguments: Sequence[int | str]) -> Call:
    plan = network.plan
    flags = [f"{name}={value}" for name, value in network.flags(mixer).items()]
    given: list[str | Call] = [
        Call(MIXERS[mixer].__name__, [*map(str, arguments), *flags]),
        str(plan.width),
        str(plan.inner),
    ]
    if plan.activation != "gelu":
        given.append(f"nn.{ACTIVATIONS[plan.activation].__name__}")
    if not plan.pre_norm:
        given.append("pre_norm=False")
    if plan.dropout:
        given.append(f"dropout={plan.dropout}")
    return Call("Block", given)


def _check_task(task: Task) -> None:
    axes = {"image_classification": 3, "text_classification": 1, "language_modeling": 1}
    if task.form not in Transformer.tasks or len(task.input_shape) != axes.get(task.form, 2):
        raise InfeasibleError(
            "family",
            f"transformer needs one of the tasks {', '.join(sorted(Transformer.tasks))} with an "
            "input of (steps, channels), (length,) for texts or (channels, height, width), "
            f"got {task.name} with {task.input_shape}",
        )
