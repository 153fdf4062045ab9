"""Multi-layer perceptrons: fully connected layers, each with choices of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.averaging import average_for
from models.decisions import Values, condition, domain_values, flag, integer, option, share
from models.domains import Choice, Domain, Range, as_domain
from models.family import Body, Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.activation import ACTIVATIONS, ActivationName
from models.operations.members import OwnLinear, SharedLayer, SharedLinear
from models.operations.numeric_embedding import Periodic, Piecewise
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text, output_lines

MAX_DEPTH = 32
MAX_WIDTH = 16_384
MAX_EMBEDDING = 256
MAX_MEMBERS = 64
NORMS = ("none", "batch", "layer")
EMBEDDINGS: Mapping[str, type[Periodic] | type[Piecewise]] = {
    "periodic": Periodic,
    "piecewise": Piecewise,
}


class MlpSettings(FamilySettings):
    """Fully connected layers. Width, activation and link are decided for each layer."""

    embedding: Searchable[Literal["none", "periodic", "piecewise"]] = Field(
        "none",
        description="what each number becomes before the first layer: waves of learned "
        "frequencies, or how far it is in each of some bins. Left open all are searched, but none "
        "where weights are shared",
    )
    embedding_size: Searchable[Annotated[int, Field(ge=1, le=MAX_EMBEDDING)]] = Field(
        Choice((4, 8, 16)), description="values that a number becomes"
    )
    members: Searchable[Annotated[int, Field(ge=1, le=MAX_MEMBERS)]] = Field(
        1,
        description="perceptrons of hidden layers that share their weights, but for scales, and "
        "answer together (TabM). Left open it is 1 or 16, but 1 where weights are shared",
    )
    depth: Searchable[Annotated[int, Field(ge=0, le=MAX_DEPTH)]] = Field(
        Range(1, 4),
        description="hidden layers; 0: a linear map. Left open it is from 0 to 4, but from 1 where "
        "weights are shared",
    )
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((16, 32, 64, 128)), description="units of a layer"
    )
    activation: Searchable[ActivationName] = Field(
        Choice(("relu", "gelu", "silu", "tanh")), description="of a layer"
    )
    residual: Searchable[bool] = Field(
        Choice((False, True)),
        description="whether a layer's input is added to its output, by a linear map where the "
        "widths differ",
    )
    norm: Searchable[Literal["none", "batch", "layer"]] = Field(
        Choice(NORMS),
        description="normalisation before every activation; batch: where the recipe has batch_norm",
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.1, 0.3)), description="after every activation"
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        if shares_weights:
            return self
        found: dict[str, Domain] = {
            "depth": Range(0, 4),
            "embedding": Choice(("none", *EMBEDDINGS)),
            "members": Choice((1, 16)),
        }
        said = self.model_fields_set
        return self.model_copy(update={n: value for n, value in found.items() if n not in said})


class Layer(nn.Module):
    """Linear map, normalisation, activation, dropout; with `residual` the input is added.

    Shapes:
        (N, inputs) -> (N, outputs)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: nn.Module,
        norm: nn.Module | None = None,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not isinstance(norm, nn.BatchNorm1d))
        self.norm = norm or nn.Identity()
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.residual = residual
        if residual:
            same = inputs == outputs
            self.shortcut = nn.Identity() if same else nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(self.activation(self.norm(self.linear(x))))
        return hidden + self.shortcut(x) if self.residual else hidden


class Network(nn.Module):
    """Layers and a linear map, of numbers as they are or of what `embedding` makes of them. Several
    members answer by the mean of their probabilities, or values.

    Shapes:
        (N, features) -> (N, task.outputs) logits or values
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        features: int,
        width: int,
        task: Task,
        dropout: float,
        embedding: tuple[str, int] | None = None,
        members: int = 1,
    ) -> None:
        """width: of what enters the last map. embedding: one of `EMBEDDINGS`, and its size."""
        super().__init__()
        self.task, self.members, self.average = task, members, average_for(task)
        self.features, self.width, self.embedded = features, width, embedding
        if embedding is not None:
            name, size = embedding
            self.embedding = EMBEDDINGS[name](features, size)
        self.layers = [f"layer_{number}" for number in range(1, len(layers) + 1)]
        for name, layer in zip(self.layers, layers, strict=True):
            self.add_module(name, layer)
        self.dropout = nn.Dropout(dropout)
        several = members > 1
        self.output = (
            OwnLinear(members, width, task.outputs) if several else nn.Linear(width, task.outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.each(x)
        if self.members == 1:
            return outputs
        return self.average(list(outputs.unbind(1)), [1 / self.members] * self.members)

    def each(self, x: Tensor) -> Tensor:
        """What each of several members says.

        Shapes:
            (N, features) -> (N, members, task.outputs), (N, task.outputs) of one
        """
        if self.embedded is not None:
            x = self.embedding(x)
        if self.members > 1:
            x = x.unsqueeze(1).expand(-1, self.members, -1)
        for name in self.layers:
            x = self.get_submodule(name)(x)
        if self.members > 1:
            x = x.flatten(1)
        outputs: Tensor = self.output(self.dropout(x))
        return outputs

    def body(self) -> Body:
        return Body("output")


@families.register("mlp")
class Mlp:
    """Decisions: `embedding`, where it is not left at none, and its `embedding_size`; `depth`,
    `members` of hidden layers, where it is not left at 1, `norm`, `dropout`, and for each layer
    from 1 on `layer_{i}_width`, `layer_{i}_activation` and `layer_{i}_residual`.
    """

    Settings = MlpSettings
    tasks = frozenset({"tabular_classification", "tabular_regression"})
    pretrainable = True
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": (("norm", ("batch",)),)}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, MlpSettings):
            raise TypeError(f"mlp needs MlpSettings, got {type(settings).__name__}")
        _check_task(task)
        depths = domain_values(settings.depth)
        hidden = condition("depth", settings.depth, [depth for depth in depths if depth > 0])
        decisions = [*_embedding_decisions(settings), Decision("depth", as_domain(settings.depth))]
        if max(depths) > 0:
            decisions += [
                Decision("norm", as_domain(settings.norm), hidden),
                Decision("dropout", as_domain(settings.dropout), hidden),
            ]
            members = as_domain(settings.members)
            if members.values() != (1,):
                decisions.append(Decision("members", members, hidden, absent=1))
        for layer in range(1, max(depths) + 1):
            deep = condition("depth", settings.depth, [depth for depth in depths if depth >= layer])
            for name in ("width", "activation", "residual"):
                domain = as_domain(getattr(settings, name))
                decisions.append(Decision(f"layer_{layer}_{name}", domain, deep))
        return decisions

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values, width = architecture.decisions, task.input_shape[0]
        layers: list[nn.Module] = []
        embedding = _embedding(values)
        if embedding is not None:
            width *= embedding[1]
        depth = integer(values, "depth", low=0)
        members = integer(values, "members") if depth and "members" in values else 1
        for number in range(1, depth + 1):
            layers.append(_layer(values, number, width, recipe.batch_norm, members))
            width = integer(values, f"layer_{number}_width")
        features = task.input_shape[0]
        return Network(layers, features, width, task, recipe.dropout, embedding, members)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The architecture itself, but that a dropout of 0 is the number 0.0, and that no embedding
        is none and no members are one.
        """
        values = dict(architecture.decisions)
        if values.get("embedding") == "none":
            del values["embedding"]
        if values.get("members") == 1:
            del values["members"]
        if "dropout" in values:
            values["dropout"] = share(values, "dropout")
        return Architecture("mlp", values)

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family mlp, got {type(network).__name__}")
        used: list[type[nn.Module] | FunctionType] = []
        if network.members > 1:
            used += [SharedLayer, OwnLinear]
            if isinstance(network.average, FunctionType):
                used.append(network.average)
        elif network.layers:
            used.append(Layer)
        if network.embedded is not None:
            used.append(type(network.embedding))
        return Definition(tuple(used), _text(network))


def _embedding_decisions(settings: MlpSettings) -> list[Decision]:
    domain = as_domain(settings.embedding)
    if domain.values() == ("none",):
        return []
    when = condition("embedding", settings.embedding, tuple(EMBEDDINGS))
    size = Decision("embedding_size", as_domain(settings.embedding_size), when)
    return [Decision("embedding", domain, absent="none"), size]


def _embedding(values: Values) -> tuple[str, int] | None:
    """Its name and size."""
    if values.get("embedding", "none") == "none":
        return None
    return option(values, "embedding", EMBEDDINGS), integer(values, "embedding_size")


def _layer(
    values: Values, number: int, inputs: int, batch_norm: bool, members: int
) -> Layer | SharedLayer:
    prefix = f"layer_{number}"
    width = integer(values, f"{prefix}_width")
    activation = ACTIVATIONS[option(values, f"{prefix}_activation", ACTIVATIONS)]
    kind = option(values, "norm", NORMS)
    norm: nn.Module | None = None
    if kind == "layer":
        norm = nn.LayerNorm(width)
    elif kind == "batch" and batch_norm:
        norm = nn.BatchNorm1d(width)
    after = (activation(), norm, share(values, "dropout"), flag(values, f"{prefix}_residual"))
    if members == 1:
        return Layer(inputs, width, *after)
    return SharedLayer(SharedLinear(members, inputs, width, number == 1), *after)


def _text(network: Network) -> str:
    constructor, forward = [], []
    if network.embedded is not None:
        name, size = network.embedded
        made = f"{EMBEDDINGS[name].__name__}({network.features}, {size})"
        constructor.append(f"self.embedding = {made}")
        forward.append("x = self.embedding(x)")
    members, outputs = network.members, network.task.outputs
    kind = "Layer" if members == 1 else "SharedLayer"
    if members > 1:
        forward.append(f"x = x.unsqueeze(1).expand(-1, {members}, -1)")
    for name in network.layers:
        call = Call(kind, _arguments(network.get_submodule(name)))
        constructor += call_lines(f"self.{name} = ", call)
        forward.append(f"x = self.{name}(x)")
    features = "x" if members == 1 else "x.flatten(1)"
    ending, returned = output_lines(features, network.dropout.p, network.width, outputs)
    if members > 1:
        ending[-1] = f"self.output = OwnLinear({members}, {network.width}, {outputs})"
        forward.append(f"outputs = list({returned}.unbind(1))")
        returned = f"{network.average.__name__}(outputs, [1 / {members}] * {members})"
    return module_text(
        "Network",
        [f"(N, {network.features}) -> (N, {outputs})."],
        [],
        [*constructor, *ending],
        ["x"],
        [*forward, f"return {returned}"],
    )


def _arguments(layer: nn.Module) -> list[str | Call]:
    """Of the constructor of `layer`; what is the default is left out."""
    if not isinstance(layer, Layer | SharedLayer):
        raise TypeError(f"expected a layer, got {type(layer).__name__}")
    linear = layer.linear.linear if isinstance(layer.linear, SharedLinear) else layer.linear
    width = linear.out_features
    arguments: list[str | Call] = [str(linear.in_features), str(width)]
    if isinstance(layer.linear, SharedLinear):
        arguments = [Call("SharedLinear", [str(len(layer.linear.r)), *map(str, arguments)])]
    arguments.append(f"nn.{type(layer.activation).__name__}()")
    if not isinstance(layer.norm, nn.Identity):
        arguments.append(f"nn.{type(layer.norm).__name__}({width})")
    if layer.dropout.p:
        arguments.append(f"dropout={layer.dropout.p}")
    if layer.residual:
        arguments.append("residual=True")
    return arguments


def _check_task(task: Task) -> None:
    if task.form not in Mlp.tasks or len(task.input_shape) != 1:
        raise InfeasibleError(
            "family",
            f"mlp needs one of the tasks {', '.join(sorted(Mlp.tasks))} with an input of "
            f"(features,), got {task.name} with {task.input_shape}",
        )
