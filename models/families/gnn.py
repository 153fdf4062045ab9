"""Graph networks: layers of message passing, linked as in NAS-Bench-Graph.

Qin et al., NeurIPS 2022, https://arxiv.org/abs/2206.09166: each layer reads one earlier layer or
the graph's features, so that the layers are a tree, and what no layer reads goes side by side into
the output. Nine such trees exist for four layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from models.architecture import Architecture, Decision, When
from models.datasets.graphs import preprocess
from models.decisions import Values, condition, domain_values, flag, integer, option, share
from models.domains import Choice, Domain, Range, Scalar, as_domain
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.graph import Features, Graph
from models.operations.activation import ACTIVATIONS, ActivationName
from models.operations.message_passing import (
    AGGREGATIONS,
    DropEdge,
    MessagePassing,
    NodeDropout,
    NodeLinear,
    message_passings,
)
from models.recipe import Recipe
from models.settings import Items, Searchable
from models.task import Task
from models.writing import Call, call_lines, module_text

MAX_LAYERS = 16
MAX_HIDDEN = 4096
MAX_STEPS = 64
NORMS = ("none", "batch", "layer")
READOUTS = ("sum", "mean", "max")
NODES, GRAPHS = "node_classification", "graph_classification"
Aggregation = Literal["sum", "mean", "max"]
OF_LAYER = ("heads", "aggregation", "steps", "teleport")
OF_OUTPUT = ("steps", "teleport")
"""What an operation may take beside its widths, by decisions of its own."""


def _are_known(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in message_passings]:
        raise ValueError(
            f"{unknown} are not operations of graphs, allowed are {', '.join(message_passings)}"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"each operation is listed once, got {list(names)}")
    return names


class GnnSettings(FamilySettings):
    """Layers of message passing. Operation, input, heads and aggregation are a layer's own."""

    operations: Items[str] = Field(
        (
            *("gcn", "gat", "gin", "sage", "cheb", "arma", "graph", "linear", "skip"),
            *("sgc", "appnp", "gcnii"),
        ),
        min_length=1,
        max_length=64,
        description="what a layer may do",
    )
    layers: Searchable[Annotated[int, Field(ge=0, le=MAX_LAYERS)]] = Field(
        Range(1, 4),
        description="layers before the output; 0: it reads the features, of nodes alone. Left open "
        "it is from 0 to 4 for nodes",
    )
    links: Literal["chain", "tree"] = Field(
        "tree",
        description="chain: each layer reads the one before; tree: any earlier one, or the graph's "
        "features",
    )
    hidden: Searchable[Annotated[int, Field(ge=1, le=MAX_HIDDEN)]] = Field(
        Choice((16, 32, 64, 128)), description="width of a layer, all heads together"
    )
    heads: Searchable[Annotated[int, Field(ge=1, le=64)]] = Field(
        Choice((1, 2, 4, 8)), description="of gat; they share the width evenly"
    )
    aggregation: Searchable[Aggregation] = Field(
        Choice(AGGREGATIONS), description="over neighbours, of gin and sage"
    )
    steps: Searchable[Annotated[int, Field(ge=1, le=MAX_STEPS)]] = Field(
        Choice((2, 5, 10)), description="of messages within one layer, of sgc, appnp and gcnii"
    )
    teleport: Searchable[Annotated[float, Field(gt=0, lt=1)]] = Field(
        Choice((0.1, 0.2)), description="share of a layer's input in each step, of appnp and gcnii"
    )
    jumping: Searchable[bool] = Field(
        False,
        description="whether every layer goes into the output, read by another or not; left open "
        "it is searched for graphs",
    )
    activation: Searchable[ActivationName] = Field(
        Choice(("relu", "elu", "tanh")), description="after every layer but skip"
    )
    norm: Searchable[Literal["none", "batch", "layer"]] = Field(
        Choice(NORMS),
        description="normalisation before every activation; batch: where the recipe has batch_norm",
    )
    dropout: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        Choice((0.0, 0.2, 0.5, 0.6)),
        description="of the input of every layer and of the output, and of the attention of gat",
    )
    drop_edge: Searchable[Annotated[float, Field(ge=0, lt=1)]] = Field(
        0.0, description="share of the links that a step of training does without"
    )
    output: Items[str] = Field(
        ("gcn", "gat", "linear", "sgc", "appnp"),
        min_length=1,
        max_length=64,
        description="what may give the classes of nodes; of graphs it is linear, after the readout",
    )
    readout: Searchable[Literal["sum", "mean", "max"]] = Field(
        Choice(READOUTS), description="of all nodes, for the classes of a graph"
    )

    _operations_are_known = field_validator("operations")(_are_known)

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        found: dict[str, Scalar | Domain] = {"steps": 5, "teleport": 0.1}
        if not shares_weights and task.name == NODES:
            found = {"layers": Range(0, 4)}
        elif not shares_weights:
            found = {"jumping": Choice((False, True))}
        said = self.model_fields_set
        return self.model_copy(update={n: value for n, value in found.items() if n not in said})

    @field_validator("output")
    @classmethod
    def _outputs_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if idle := [name for name in _are_known(names) if message_passings[name].is_identity]:
            raise ValueError(f"{idle} cannot give the classes")
        return names


class Layer(nn.Module):
    """Dropout of the input, message passing, normalisation, activation.

    Shapes:
        (nodes, inputs) -> (nodes, outputs)
    """

    def __init__(
        self,
        operation: nn.Module,
        activation: nn.Module | None = None,
        norm: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = NodeDropout(dropout)
        self.operation = operation
        self.norm = norm or nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, x: Tensor | Features, graph: Graph) -> Tensor:
        mapped = self.operation(self.dropout(x), graph)
        output: Tensor = self.activation(self.norm(mapped))
        return output


def read_out(graph: Graph, x: Tensor, readout: str) -> Tensor:
    """Sum, mean or maximum over the nodes of each graph; 0 of a graph without nodes.

    Shapes:
        (nodes, n) -> (graphs, n)
    """
    graph_of = graph.graph_of
    if graph_of is None:
        graph_of = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    zeros = x.new_zeros(graph.graphs, x.shape[1])
    if readout == "max":
        places = graph_of[:, None].expand_as(x)
        largest = (zeros - torch.inf).scatter_reduce(0, places, x, "amax")
        return largest.masked_fill(largest == -torch.inf, 0.0)
    sums = zeros.index_add(0, graph_of, x)
    if readout == "sum":
        return sums
    counts = zeros[:, 0].index_add(0, graph_of, torch.ones_like(x[:, 0]))
    return sums / counts.clamp(min=1)[:, None]


class Network(nn.Module):
    """Layers, what leaves them side by side, and the output.

    `sources` has a layer's input by its number: an earlier layer, or 0 for the graph's features.
    Where there are no layers, those are what leaves.
    `calls` has what makes its operation, as text; 0 is the output's.

    Shapes:
        Graph -> (samples, task.outputs) logits; samples: the nodes picked, or the graphs
    """

    def __init__(
        self,
        layers: Mapping[int, Layer],
        sources: Mapping[int, int],
        leaves: Sequence[int],
        output: nn.Module,
        readout: str | None,
        dropout: tuple[float, float],
        calls: Mapping[int, Call],
        drop_edge: float = 0.0,
    ) -> None:
        super().__init__()
        self.calls = dict(calls)
        self.sources, self.leaves, self.readout = dict(sources), tuple(leaves), readout
        for number, layer in layers.items():
            self.add_module(f"layer_{number}", layer)
        self.dropout, self.last_dropout = NodeDropout(dropout[0]), NodeDropout(dropout[1])
        self.drop_edge = DropEdge(drop_edge) if drop_edge else None
        self.output = output

    def forward(self, graph: Graph) -> Tensor:
        graph = graph if self.drop_edge is None else self.drop_edge(graph)
        hidden: dict[int, Tensor | Features] = {0: graph.x}
        for number, source in self.sources.items():
            hidden[number] = self.get_submodule(f"layer_{number}")(hidden[source], graph)
        x = hidden[self.leaves[0]]
        if len(self.leaves) > 1:
            x = torch.cat([leaf for n in self.leaves if isinstance(leaf := hidden[n], Tensor)], 1)
        x = self.last_dropout(self.dropout(x))
        if self.readout is not None:
            assert isinstance(x, Tensor)  # noqa: S101 - graphs have a layer or more
            outputs: Tensor = self.output(read_out(graph, x, self.readout))
            return outputs
        outputs = self.output(x, graph)
        return outputs if graph.picked is None else outputs[graph.picked]


@families.register("gnn")
class Gnn:
    """Decisions: `layers`, `hidden`, `activation`, `norm`, `dropout`, then `output` for nodes, with
    `output_steps` and `output_teleport` where it takes them, or `readout` for graphs, and for each
    layer from 1 on `layer_{i}_operation`, `layer_{i}_input` (the number of a layer, or 0), and,
    where it has a meaning, `layer_{i}_heads` and the like; `jumping` where it is not left at false
    and `drop_edge` where it is not left at 0.
    """

    Settings = GnnSettings
    tasks = frozenset({NODES, GRAPHS})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": (("norm", ("batch",)),)}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, GnnSettings):
            raise TypeError(f"gnn needs GnnSettings, got {type(settings).__name__}")
        _check_task(task)
        _check_heads(settings)
        counts = domain_values(settings.layers)
        if task.name == GRAPHS and 0 in counts:
            raise _no_layers()
        any_layer = condition("layers", settings.layers, [count for count in counts if count])
        decisions = [Decision("layers", as_domain(settings.layers))]
        decisions += [
            Decision(name, as_domain(getattr(settings, name)), any_layer)
            for name in ("hidden", "activation", "norm")
        ]
        decisions.append(Decision("dropout", as_domain(settings.dropout)))
        if task.name == NODES:
            decisions.append(Decision("output", Choice(settings.output)))
            decisions += _own_decisions(settings, "output", settings.output, OF_OUTPUT)
        else:
            decisions.append(Decision("readout", as_domain(settings.readout)))
        jumping = as_domain(settings.jumping)
        if True in jumping.values():
            decisions.append(Decision("jumping", jumping, any_layer, absent=False))
        drop_edge = as_domain(settings.drop_edge)
        if drop_edge.levels(2) != (0.0,):
            decisions.append(Decision("drop_edge", drop_edge, absent=0.0))
        for layer in range(1, max(counts) + 1):
            deep = condition("layers", settings.layers, [c for c in counts if c >= layer])
            place = f"layer_{layer}"
            decisions.append(Decision(f"{place}_operation", Choice(settings.operations), deep))
            inputs = range(layer) if settings.links == "tree" else [layer - 1]
            decisions.append(Decision(f"{place}_input", Choice(tuple(inputs)), deep))
            decisions += _own_decisions(settings, place, settings.operations, OF_LAYER, deep)
        return decisions

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values = architecture.decisions
        sources, leaves = _tree(values)
        dropout = share(values, "dropout")
        if not sources and task.name == GRAPHS:
            raise _no_layers()
        hidden = integer(values, "hidden") if sources else 0
        layers, calls = {}, {}
        for number, source in sources.items():
            width = hidden if source else task.input_shape[0]
            operation, calls[number] = operation_of(values, f"layer_{number}", width, hidden)
            layers[number] = _layer(values, number, operation, recipe.batch_norm)
        width, readout = hidden * len(leaves) if sources else task.input_shape[0], None
        if task.name == GRAPHS:
            readout = option(values, "readout", READOUTS)
            output: nn.Module = NodeLinear(width, task.outputs)
            calls[0] = Call("NodeLinear", [str(width), str(task.outputs)])
        else:
            output, calls[0] = operation_of(values, "output", width, task.outputs)
        dropouts = (dropout, recipe.dropout)
        drop_edge = share(values, "drop_edge") if "drop_edge" in values else 0.0
        return Network(layers, sources, leaves, output, readout, dropouts, calls, drop_edge)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The tree of layers as a text that does not depend on their numbers. A skip of a layer is
        its input, and a sum of GraphSAGE is `graph`. The text is an identity and cannot be built.
        """
        values = architecture.decisions
        if "layers" not in values:  # only a representative has none
            return architecture
        sources, leaves = _tree(values)

        def text(number: int) -> str:
            readers = sorted(text(reader) for reader, source in sources.items() if source == number)
            mark = "*" if number in leaves else ""
            return f"{_label(values, number) if number else 'x'}{mark}({','.join(readers)})"

        names = ("hidden", "activation", "norm", "output", "readout")
        of_output = tuple(f"output_{name}" for name in OF_OUTPUT)
        kept = {name: values[name] for name in (*names, *of_output) if name in values}
        if values.get("drop_edge"):
            kept["drop_edge"] = share(values, "drop_edge")
        return Architecture("gnn", {**kept, "dropout": share(values, "dropout"), "tree": text(0)})

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family gnn, got {type(network).__name__}")
        layers = [network.get_submodule(f"layer_{number}") for number in network.sources]
        modules = [layer.operation for layer in layers if isinstance(layer, Layer)]
        kinds = dict.fromkeys(type(module) for module in (*modules, network.output))
        functions = () if network.readout is None else (read_out,)
        text = inspect.getsource(preprocess)
        first = Layer if layers else NodeDropout
        dropping = () if network.drop_edge is None else (DropEdge,)
        return Definition((first, *dropping, *kinds, *functions), _text(network, layers), text)


def _own_decisions(
    settings: GnnSettings,
    place: str,
    operations: tuple[str, ...],
    names: Sequence[str],
    when: When = (),
) -> list[Decision]:
    """What the operations of a layer, or of the output, take beside their widths."""
    chosen = "output" if place == "output" else f"{place}_operation"
    decisions = []
    for wanted in names:
        takers = [name for name in operations if wanted in message_passings[name].options]
        if takers:
            able = condition(chosen, Choice(operations), takers)
            domain = as_domain(getattr(settings, wanted))
            decisions.append(Decision(f"{place}_{wanted}", domain, (*when, *able)))
    return decisions


def _tree(values: Values) -> tuple[dict[int, int], list[int]]:
    """The input of every layer that computes something, and the layers that leave the network; 0
    where there is no layer.
    """
    stands_for, sources, read = {0: 0}, {}, set()
    for number in range(1, integer(values, "layers", low=0) + 1):
        name = f"layer_{number}_input"
        source = integer(values, name, low=0)
        if source >= number:
            raise InfeasibleError(name, f"{name} must be below {number}, got {source}")
        read.add(source)
        if _operation(values, f"layer_{number}_operation").is_identity and source:
            stands_for[number] = stands_for[source]
        else:
            stands_for[number], sources[number] = number, stands_for[source]
    if not sources:
        return {}, [0]
    if "jumping" in values and flag(values, "jumping"):
        return sources, sorted(sources)
    leaves = {layer for number, layer in stands_for.items() if number and number not in read}
    return sources, sorted(leaves)


def _operation(values: Values, name: str) -> MessagePassing:
    return message_passings[option(values, name, message_passings)]


def operation_of(values: Values, place: str, inputs: int, outputs: int) -> tuple[nn.Module, Call]:
    """The operation of a layer or of the output, and how it is written down."""
    is_output = place == "output"
    entry = _operation(values, place if is_output else f"{place}_operation")
    options: dict[str, Any] = {}
    if "heads" in entry.options and not is_output:
        name = f"{place}_heads"
        options["heads"] = heads = integer(values, name)
        if outputs % heads:
            raise InfeasibleError(name, _uneven([heads], [outputs]))
    if "aggregation" in entry.options and not is_output:
        options["aggregation"] = option(values, f"{place}_aggregation", AGGREGATIONS)
    if "steps" in entry.options:
        options["steps"] = integer(values, f"{place}_steps")
    if "teleport" in entry.options:
        options["teleport"] = share(values, f"{place}_teleport")
    if "dropout" in entry.options and (dropout := share(values, "dropout")):
        options["dropout"] = dropout
    arguments = [str(inputs), str(outputs), *(f"{n}={v!r}" for n, v in options.items())]
    made = entry.module(inputs, outputs, **options)
    return made, Call(entry.module.__name__, [a.replace("'", '"') for a in arguments])


def _layer(values: Values, number: int, operation: nn.Module, batch_norm: bool) -> Layer:
    dropout = share(values, "dropout")
    if _operation(values, f"layer_{number}_operation").is_identity:
        return Layer(operation, dropout=dropout)
    activation = ACTIVATIONS[option(values, "activation", ACTIVATIONS)]
    kind, hidden = option(values, "norm", NORMS), integer(values, "hidden")
    norm: nn.Module | None = None
    if kind == "layer":
        norm = nn.LayerNorm(hidden)
    elif kind == "batch" and batch_norm:
        norm = nn.BatchNorm1d(hidden)
    return Layer(operation, activation(), norm, dropout)


def _label(values: Values, number: int) -> str:
    """Of a layer in the canonical form."""
    name = option(values, f"layer_{number}_operation", message_passings)
    given = [values.get(f"layer_{number}_{wanted}") for wanted in OF_LAYER]
    options = [str(value) for value in given if value is not None]
    return "graph" if (name, options) == ("sage", ["sum"]) else " ".join([name, *options])


def _text(network: Network, layers: Sequence[nn.Module]) -> str:
    constructor, forward, names = [], [], {0: "graph.x"}
    for (number, source), layer in zip(network.sources.items(), layers, strict=True):
        constructor += call_lines(
            f"self.layer_{number} = ", Call("Layer", [network.calls[number], *_rest(layer)])
        )
        forward.append(f"x_{number} = self.layer_{number}({names[source]}, graph)")
        names[number] = f"x_{number}"
    if network.drop_edge is not None:
        constructor.append(f"self.drop_edge = DropEdge({network.drop_edge.p})")
        forward.insert(0, "graph = self.drop_edge(graph)")
    leaves = ", ".join(names[number] for number in network.leaves)
    last = f"torch.cat([{leaves}], dim=1)" if len(network.leaves) > 1 else leaves
    kind = "nn.Dropout" if network.sources else "NodeDropout"
    for name in ("dropout", "last_dropout"):
        module = network.get_submodule(name)
        if isinstance(module, NodeDropout) and module.p:
            constructor.append(f"self.{name} = {kind}({module.p})")
            last = f"self.{name}({last})"
    constructor += call_lines("self.output = ", network.calls[0])
    if network.readout is None:
        forward += [
            f"outputs = self.output({last}, graph)",
            "return outputs if graph.picked is None else outputs[graph.picked]",
        ]
        shapes = "A graph -> (nodes picked, classes) logits."
    else:
        forward += [f"x = {last}", f'return self.output(read_out(graph, x, "{network.readout}"))']
        shapes = "Graphs -> (graphs, classes) logits."
    return module_text("Network", [shapes], [], constructor, ["graph: Graph"], forward)


def _rest(layer: nn.Module) -> list[str]:
    """Of the constructor of `layer`, after the operation; what is the default is left out."""
    if not isinstance(layer, Layer):
        raise TypeError(f"expected a layer, got {type(layer).__name__}")
    arguments = []
    if not isinstance(layer.activation, nn.Identity):
        arguments.append(f"nn.{type(layer.activation).__name__}()")
    if isinstance(layer.norm, nn.BatchNorm1d):
        arguments.append(f"nn.BatchNorm1d({layer.norm.num_features})")
    elif isinstance(layer.norm, nn.LayerNorm):
        arguments.append(f"nn.LayerNorm({layer.norm.normalized_shape[0]})")
    if layer.dropout.p:
        arguments.append(f"dropout={layer.dropout.p}")
    return arguments


def _no_layers() -> InfeasibleError:
    return InfeasibleError("layers", "layers of graphs must be a positive integer, got 0")


def _check_heads(settings: GnnSettings) -> None:
    if not any("heads" in message_passings[name].options for name in settings.operations):
        return
    heads, hidden = domain_values(settings.heads), domain_values(settings.hidden)
    if not any(width % count == 0 for width in hidden for count in heads):
        raise InfeasibleError("heads", _uneven(heads, hidden))


def _uneven(heads: Sequence[int], hidden: Sequence[int]) -> str:
    return (
        f"heads share the hidden size evenly, got heads {_listed(heads)} for hidden "
        f"{_listed(hidden)}"
    )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:20]))


def _check_task(task: Task) -> None:
    if task.name not in Gnn.tasks or len(task.input_shape) != 1:
        raise InfeasibleError(
            "family",
            f"gnn needs one of the tasks {', '.join(sorted(Gnn.tasks))} with an input of "
            f"(features,), got {task.name} with {task.input_shape}",
        )
