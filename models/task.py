"""What a network is for: the shapes that go in and come out, one value for all families."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor

from models.graph import Features, Graph, Sparse

TaskName = Literal[
    "tabular_classification",
    "tabular_regression",
    "image_classification",
    "forecasting",
    "sequence_classification",
    "text_classification",
    "language_modeling",
    "node_classification",
    "graph_classification",
    "multilabel_classification",
]
TASK_NAMES: tuple[str, ...] = get_args(TaskName)
TEXT_TASKS = ("text_classification", "language_modeling")
"""The forms (`Task.form`) whose input is token ids; all others take numbers."""
MULTILABEL: Final = "multilabel_classification"
LABELLED_FORMS = ("tabular_classification", "text_classification", "image_classification")
"""What a sample of a multilabel classification may be: that of one of these."""
GRAPH_TASKS = ("node_classification", "graph_classification")


def served(tasks: Collection[str]) -> frozenset[str]:
    """The tasks of which networks for `tasks` serve at least one form (`Task.form`)."""
    return frozenset(tasks) | ({MULTILABEL} if set(tasks) & set(LABELLED_FORMS) else set())


@dataclass(frozen=True, slots=True)
class GraphSize:
    """How large a graph is, the mean of many rounded up: what a pass through a network costs.

    `edges` has an undirected edge twice and no edge from a node to itself; `entries` is the number
    of features that are not zero, or None where they are stored dense.
    """

    nodes: int
    edges: int
    entries: int | None = None

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.edges < 0 or (self.entries is not None and self.entries < 0):
            raise ValueError(f"a graph has at least 1 node and no negative size, got {self}")

    def zeros(self, features: int, count: int, device: str | torch.device) -> Graph:
        """`count` graphs of this size, side by side, all features 0."""
        nodes = count * self.nodes
        rows, index = _spread(count * (self.edges + self.nodes), nodes, device)
        columns = rows // self.nodes * self.nodes + index % self.nodes
        x: Tensor | Features = torch.zeros(nodes, features, device=device)
        if self.entries is not None:
            places, number = _spread(count * self.entries, nodes, device)
            values = torch.zeros(count * self.entries, device=device)
            x = Features(Sparse(places, number % features, nodes, features), values)
        graph_of = torch.arange(nodes, device=device) // self.nodes
        return Graph(x, Sparse(rows, columns, nodes, nodes), graph_of=graph_of, graphs=count)


def _spread(entries: int, rows: int, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Entries over rows, evenly: the row of each and its number."""
    number = torch.arange(entries, device=device)
    return number * rows // max(entries, 1), number


class TextSize(NamedTuple):
    """Of texts cut into such tokens: how many a network sees of each, and how many there are."""

    tokens: str
    length: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Task:
    """What goes in and what comes out.

    Shapes:
        input_shape: of one sample without the batch; (features,) for tables, (channels, height,
            width) for images, (window, channels) for series and sequences, (length,) for texts,
            (features,) of a node for graphs.
        outputs: number of classes of a classification, of labels of a multilabel one, of values of
            a regression, horizon * series of a forecast; of a language model the vocabulary, at
            every position.
        vocabulary: number of token ids of a text task, which are below it; None for all others.
        graph: the size of the graph, of a graph task; None for all others.
        targets: columns of the input that are forecast, in the order of the outputs, those of one
            time step together; None where they are unknown, and for all other tasks.
        known: columns of the input that are known in advance and tell of the steps to forecast;
            None where there are none.
        readings: every way in which the texts can be cut, its own among them; empty where there is
            one.
    """

    name: TaskName
    input_shape: tuple[int, ...]
    outputs: int
    vocabulary: int | None = None
    graph: GraphSize | None = None
    targets: tuple[int, ...] | None = None
    known: tuple[int, ...] | None = None
    readings: tuple[TextSize, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise ValueError(f"unknown task {self.name!r}, known are {', '.join(TASK_NAMES)}")
        if self.outputs < 1 or any(size < 1 for size in self.input_shape):
            raise ValueError(f"sizes of a task are positive, got {self}")
        if self.name == MULTILABEL and len(self.input_shape) not in (1, 3):
            raise ValueError(
                f"samples of a {MULTILABEL} are rows, texts or images, got the shape "
                f"{self.input_shape}"
            )
        if (self.form in TEXT_TASKS) != (self.vocabulary is not None):
            raise ValueError(
                f"{' and '.join(TEXT_TASKS)} have a vocabulary and no other task has, "
                f"got {self.name} with vocabulary {self.vocabulary}"
            )
        if (self.name in GRAPH_TASKS) != (self.graph is not None):
            raise ValueError(
                f"{' and '.join(GRAPH_TASKS)} have a graph and no other task has, "
                f"got {self.name} with graph {self.graph}"
            )
        if self.vocabulary is not None and self.vocabulary < 1:
            raise ValueError(f"a vocabulary has at least 1 token, got {self.vocabulary}")
        if self.name == "language_modeling" and self.outputs != self.vocabulary:
            raise ValueError(
                f"a language model has one output a token, got {self.outputs} outputs for a "
                f"vocabulary of {self.vocabulary}"
            )
        if self.targets is not None:
            self._check_targets(self.targets)
        if self.known is not None and (
            self.targets is None
            or not set(self.known) <= {*range(self.input_shape[-1])} - {*self.targets}
        ):
            raise ValueError(
                "columns known in advance are columns of the input of a forecast, and no targets; "
                f"got {self.known}"
            )

    @property
    def form(self) -> TaskName:
        """The task whose networks serve this one, as their input and output have the same shapes:
        of a multilabel classification that with one class a sample; any other task itself.
        """
        if self.name != MULTILABEL:
            return self.name
        if len(self.input_shape) == 3:
            return "image_classification"
        return "tabular_classification" if self.vocabulary is None else "text_classification"

    @property
    def shown(self) -> str:
        """For people: what its samples are too, where the name does not say it."""
        return self.name if self.form == self.name else f"{self.name} in the form of {self.form}"

    def read_as(self, tokens: str) -> Task:
        """What the networks are for that see its texts as `tokens`; itself for `dataset`, and where
        there is one way alone.

        Raises:
            ValueError: its texts cannot be cut so.
        """
        if tokens == "dataset" or not self.readings:
            return self
        for known, length, vocabulary in self.readings:
            if known == tokens:
                return replace(self, input_shape=(length,), vocabulary=vocabulary, readings=())
        known_tokens = ", ".join(size.tokens for size in self.readings)
        raise ValueError(f"unknown tokens {tokens!r}, known are {known_tokens}")

    def _check_targets(self, targets: tuple[int, ...]) -> None:
        if self.name != "forecasting":
            raise ValueError(f"forecasting has targets and no other task has, got {self.name}")
        if not targets or self.outputs % len(targets):
            raise ValueError(
                f"the outputs are those of all targets at each step, got {self.outputs} outputs "
                f"for {len(targets)} targets"
            )
        if wrong := [column for column in targets if not 0 <= column < self.input_shape[-1]]:
            raise ValueError(
                f"targets are columns of the input, which has {self.input_shape[-1]}, got {wrong}"
            )

    def zeros(self, count: int, device: str | torch.device = "cpu") -> Tensor | Graph:
        """A batch of `count` inputs of the right type: numbers, token ids, or a graph of which
        `count` nodes are picked, or `count` graphs.

        Shapes:
            (count, *input_shape), int64 for a text task, else float32; or a graph
        """
        if self.graph is not None:
            if self.name == "graph_classification":
                return self.graph.zeros(self.input_shape[0], count, device)
            graph = self.graph.zeros(self.input_shape[0], 1, device)
            graph.picked = torch.arange(count, device=device) % self.graph.nodes
            return graph
        dtype = torch.float32 if self.vocabulary is None else torch.int64
        return torch.zeros(count, *self.input_shape, dtype=dtype, device=device)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
        }
        if self.vocabulary is not None:
            document["vocabulary"] = self.vocabulary
        if self.graph is not None:
            document["graph"] = asdict(self.graph)
        if self.targets is not None:
            document["targets"] = list(self.targets)
        if self.known is not None:
            document["known"] = list(self.known)
        if self.readings:
            document["readings"] = [size._asdict() for size in self.readings]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        graph = document.get("graph")
        targets, known = document.get("targets"), document.get("known")
        return cls(
            document["name"],
            tuple(document["input_shape"]),
            document["outputs"],
            document.get("vocabulary"),
            None if graph is None else GraphSize(**graph),
            None if targets is None else tuple(targets),
            None if known is None else tuple(known),
            tuple(TextSize(**size) for size in document.get("readings", ())),
        )
