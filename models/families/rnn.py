"""Recurrent networks: layers of torch's own cells, or of a cell that is searched as in DARTS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.decisions import (
    Values,
    canonical_view,
    condition,
    domain_values,
    integer,
    option,
    share,
    window_decisions,
    window_view,
)
from models.domains import Choice, Range, Scalar, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.operations.recurrent import CELL_ACTIVATIONS, DartsRNN
from models.operations.window_view import WindowView
from models.recipe import Recipe
from models.settings import Items, Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text, output_lines

MAX_LAYERS = 16
MAX_HIDDEN = 8192
MAX_NODES = 12
DIRECTIONS = ("forward", "bidirectional")
LAYERS: Mapping[str, type[nn.Module]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "darts": DartsRNN,
}


class RnnSettings(FamilySettings):
    """Recurrent layers of one cell. Tokens are read through an embedding as wide as the state."""

    cell: Searchable[Literal["rnn", "lstm", "gru", "darts"]] = Field(
        Choice(tuple(LAYERS)), description="rnn: tanh of Elman; darts: a graph of gated nodes"
    )
    layers: Searchable[Annotated[int, Field(ge=1, le=MAX_LAYERS)]] = Field(
        Range(1, 2), description="how many"
    )
    hidden: Searchable[Annotated[int, Field(ge=1, le=MAX_HIDDEN)]] = Field(
        Choice((16, 32, 64)), description="values of the state, in one direction"
    )
    direction: Searchable[Literal["forward", "bidirectional"]] = Field(
        Choice(DIRECTIONS), description="a language model reads forward alone"
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.1, 0.3)), description="between the layers"
    )
    nodes: Searchable[Annotated[int, Field(ge=1, le=MAX_NODES)]] = Field(
        Range(2, 4), description="of the cell darts beside its first one; the paper has 8"
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
    activations: Items[str] = Field(
        tuple(CELL_ACTIVATIONS),
        min_length=1,
        max_length=len(CELL_ACTIVATIONS),
        description="what a node of the cell darts may apply",
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        """Of texts with the gated cells that torch has: they are long, a plain one has forgotten
        their beginning, and darts goes through them step by step.
        """
        if "cell" in self.model_fields_set or task.form != "text_classification":
            return self
        return self.model_copy(update={"cell": Choice(("lstm", "gru"))})

    @field_validator("activations")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in CELL_ACTIVATIONS]:
            raise ValueError(f"{unknown} are unknown, allowed are {', '.join(CELL_ACTIVATIONS)}")
        if len(set(names)) < len(names):
            raise ValueError(f"each activation is listed once, got {list(names)}")
        return names


class Network(nn.Module):
    """Recurrent layers and a linear map: of every state for a language model, else of the last
    one in each direction; the way back ends at the first step. The last state of a text is that
    of its last token; the way back comes to it through zeros, where nothing stands any more. `view`
    is how a forecast sees its window, None: as it is.

    Shapes:
        (N, *task.input_shape) -> (N, task.outputs), (N, length, vocabulary) of a language model
    """

    def __init__(
        self,
        cell: str,
        nodes: Sequence[tuple[int, str]],
        hidden: int,
        layers: int,
        dropout: float,
        bidirectional: bool,
        view: WindowView | None,
        task: Task,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.cell, self.nodes, self.hidden, self.task = cell, nodes, hidden, task
        self.view = view
        self.options: dict[str, Scalar] = {} if cell == "darts" else {"batch_first": True}
        if layers > 1:
            self.options["num_layers"] = layers
        if layers > 1 and dropout:
            self.options["dropout"] = dropout
        if bidirectional:
            self.options["bidirectional"] = True
        self.embedding = (
            None if task.vocabulary is None else nn.Embedding(task.vocabulary, self.inputs)
        )
        graph = [(source, CELL_ACTIVATIONS[name]) for source, name in nodes]
        self.recurrent = LAYERS[cell](
            self.inputs, hidden, *([graph] if graph else []), **self.options
        )
        self.dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear((1 + bidirectional) * hidden, task.outputs)

    @property
    def inputs(self) -> int:
        return self.task.input_shape[1] if self.task.vocabulary is None else self.hidden

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x) if self.view is None else self.view(x, self.outputs)

    def outputs(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedded(x))
        return self.read(states, x)

    @property
    def is_padded(self) -> bool:
        """Whether samples are texts, which the token 0 fills up."""
        return self.task.form == "text_classification"

    def embedded(self, x: Tensor) -> Tensor:
        if self.embedding is None:
            return x
        embedded: Tensor = self.embedding(x)
        return embedded * (x != 0)[..., None] if self.is_padded else embedded

    def read(self, states: Tensor, x: Tensor) -> Tensor:
        """The outputs for the states of the last layer, both directions of a step side by side, of
        the samples `x`.
        """
        if self.task.name != "language_modeling":
            last = states[:, -1]
            if self.is_padded:  # an empty text is read at its first place
                place = (x != 0).sum(dim=1).sub(1).clamp(min=0)[:, None, None]
                last = states.gather(1, place.expand(-1, 1, states.shape[2]))[:, 0]
            if "bidirectional" in self.options:
                last = torch.cat([last[:, : self.hidden], states[:, 0, self.hidden :]], dim=1)
            states = last
        outputs: Tensor = self.output(self.dropout(states))
        return outputs


@families.register("rnn")
class Rnn:
    """Decisions: `cell`, `layers`, `hidden`, `direction`, `dropout` of more than one layer; for the
    cell darts `nodes`, and for each from 1 on `node_{i}_source`, an earlier node, and
    `node_{i}_activation`; of a forecast whose targets are known `window_scaling`, where it is
    not left at none, and `relative` of a window that is not scaled.
    """

    Settings = RnnSettings
    tasks = frozenset(
        {"forecasting", "sequence_classification", "text_classification", "language_modeling"}
    )
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, RnnSettings):
            raise TypeError(f"rnn needs RnnSettings, got {type(settings).__name__}")
        _check_task(task)
        directions = as_domain(settings.direction).values()
        if task.name == "language_modeling":
            directions = tuple(name for name in directions if name == "forward")
            if not directions:
                raise _looks_ahead()
        deep = [count for count in domain_values(settings.layers) if count > 1]
        decisions = [
            Decision("cell", as_domain(settings.cell)),
            Decision("layers", as_domain(settings.layers)),
            Decision("hidden", as_domain(settings.hidden)),
            Decision("direction", Choice(directions)),
        ]
        if deep:
            when = condition("layers", settings.layers, deep)
            decisions.append(Decision("dropout", as_domain(settings.dropout), when))
        if "darts" in as_domain(settings.cell).values():
            decisions += _node_decisions(settings)
        return decisions + window_decisions(settings.window_scaling, settings.relative, task)

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        bidirectional = option(values, "direction", DIRECTIONS) == "bidirectional"
        if bidirectional and task.name == "language_modeling":
            raise _looks_ahead()
        layers = integer(values, "layers")
        return Network(
            option(values, "cell", LAYERS),
            _nodes(values),
            integer(values, "hidden"),
            layers,
            share(values, "dropout") if layers > 1 else 0.0,
            bidirectional,
            window_view(values, task),
            task,
            recipe.dropout,
        )

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """Names the graph of a cell by a text that isomorphic ones share; it is an identity and
        such a one cannot be built.
        """
        values = architecture.decisions
        if "graph" in values:
            return architecture
        kept = {name: values[name] for name in ("cell", "layers", "hidden", "direction")}
        if integer(values, "layers") > 1:
            kept["dropout"] = share(values, "dropout")
        if kept["cell"] == "darts":
            kept["graph"] = canonical_text(_nodes(values))
        return Architecture("rnn", kept | canonical_view(values))

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family rnn, got {type(network).__name__}")
        return Definition((DartsRNN,) if network.cell == "darts" else (), _text(network))


def canonical_text(nodes: Sequence[tuple[int, str]]) -> str:
    """The same text for isomorphic cells, and for no others.

    Every node has one source, so that a cell is a tree with node 0 as its root: the text of a node
    is its activation and the sorted texts of the nodes that it feeds (Aho, Hopcroft and Ullman,
    1974, example 3.2). Two equal nodes of one source stay two: each has weights of its own.
    """
    fed: dict[int, list[str]] = {}
    for number in range(len(nodes), 0, -1):
        source, activation = nodes[number - 1]
        text = f"{activation}({','.join(sorted(fed.get(number, ())))})"
        fed.setdefault(source, []).append(text)
    return ",".join(sorted(fed[0]))


def _node_decisions(settings: RnnSettings) -> list[Decision]:
    searched = condition("cell", settings.cell, ["darts"])
    counts = domain_values(settings.nodes)
    decisions = [Decision("nodes", as_domain(settings.nodes), searched)]
    for node in range(1, max(counts) + 1):
        large = condition("nodes", settings.nodes, [count for count in counts if count >= node])
        when = searched + large
        decisions += [
            Decision(f"node_{node}_source", Choice(tuple(range(node))), when),
            Decision(f"node_{node}_activation", Choice(settings.activations), when),
        ]
    return decisions


def _nodes(values: Values) -> list[tuple[int, str]]:
    """Source and activation of each node of the cell darts; none of another cell."""
    if option(values, "cell", LAYERS) != "darts":
        return []
    nodes = []
    for node in range(1, integer(values, "nodes") + 1):
        source = integer(values, f"node_{node}_source", low=0)
        if source >= node:
            raise InfeasibleError(
                f"node_{node}_source", f"node_{node}_source must be below {node}, got {source}"
            )
        nodes.append((source, option(values, f"node_{node}_activation", CELL_ACTIVATIONS)))
    return nodes


def _text(network: Network) -> str:
    task, output = network.task, network.output
    arguments: list[str | Call] = [str(network.inputs), str(network.hidden)]
    if network.nodes:
        graph = [
            f"({source}, nn.{CELL_ACTIVATIONS[name].__name__})" for source, name in network.nodes
        ]
        arguments.append(f"[{', '.join(graph)}]")
    arguments += [f"{name}={value}" for name, value in network.options.items()]
    name = LAYERS[network.cell].__name__
    function = name if network.cell == "darts" else f"nn.{name}"
    constructor: list[str] = []
    before: list[str] = []
    sequence, after = "x", ""
    if network.view is not None:
        before, after = network.view.lines(task.outputs)
    if task.vocabulary is not None:
        constructor.append(f"self.embedding = nn.Embedding({task.vocabulary}, {network.inputs})")
        sequence = "self.embedding(x)" + (" * (x != 0)[..., None]" if network.is_padded else "")
    constructor += call_lines("self.recurrent = ", Call(function, arguments))
    forward, features = [*before, f"states, _ = self.recurrent({sequence})"], "states"
    last = f"states[:, -1, :{network.hidden}]"
    if network.is_padded:
        forward.append("place = (x != 0).sum(dim=1).sub(1).clamp(min=0)[:, None, None]")
        forward.append("last = states.gather(1, place.expand(-1, 1, states.shape[2]))[:, 0]")
        last, features = f"last[:, :{network.hidden}]", "last"
    if task.name != "language_modeling" and "bidirectional" in network.options:
        ends = f"{last}, states[:, 0, {network.hidden}:]"
        forward.append(f"last = torch.cat([{ends}], dim=1)")
        features = "last"
    elif task.name != "language_modeling" and not network.is_padded:
        features = "states[:, -1]"
    made, returned = output_lines(
        features, network.dropout.p, output.in_features, output.out_features
    )
    shape = ", ".join(map(str, task.input_shape))
    every = f"{shape}, " if task.name == "language_modeling" else ""
    return module_text(
        "Network",
        [f"(N, {shape}) -> (N, {every}{task.outputs})."],
        [],
        [*constructor, *made],
        ["x"],
        [*forward, f"return {returned}{after}"],
    )


def _looks_ahead() -> InfeasibleError:
    return InfeasibleError(
        "direction",
        "a language model predicts the next token from those before it, so its direction is "
        "forward, got bidirectional",
    )


def _check_task(task: Task) -> None:
    axes = 2 if task.vocabulary is None else 1
    if task.form not in Rnn.tasks or len(task.input_shape) != axes:
        raise InfeasibleError(
            "family",
            f"rnn needs one of the tasks {', '.join(sorted(Rnn.tasks))} with an input of "
            "(steps, channels), or (length,) of tokens, "
            f"got {task.name} with {task.input_shape}",
        )
