from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from models.architecture import Architecture
from models.cost import cost
from models.domains import Choice, Scalar
from models.exporters.source import source
from models.families.rnn import canonical_text
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import initialize

FAMILY = families["rnn"]
SERIES = Task("forecasting", (9, 3), 4)
TEXT = Task("language_modeling", (9,), 7, vocabulary=7)
LABELLED = Task("text_classification", (9,), 3, vocabulary=7)

DARTS_V2 = [
    ("sigmoid", 0),
    ("relu", 1),
    ("relu", 1),
    ("identity", 1),
    ("tanh", 2),
    ("sigmoid", 5),
    ("tanh", 3),
    ("relu", 5),
]
"""The cell that the authors report, as their code lists it."""


def rnn(
    cell: str = "lstm",
    layers: int = 1,
    hidden: int = 5,
    direction: str = "forward",
    dropout: float | None = None,
    nodes: list[tuple[str, int]] | None = None,
) -> Architecture:
    values: dict[str, Scalar] = {
        "cell": cell,
        "layers": layers,
        "hidden": hidden,
        "direction": direction,
    }
    if dropout is not None:
        values["dropout"] = dropout
    if nodes is not None:
        values["nodes"] = len(nodes)
        for number, (activation, source_node) in enumerate(nodes, 1):
            values[f"node_{number}_source"] = source_node
            values[f"node_{number}_activation"] = activation
    return Architecture("rnn", values)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_standard_cell_is_read_at_its_last_state(cell: str, direction: str) -> None:
    network: Any = FAMILY.build(rnn(cell, 2, 5, direction, dropout=0.0), SERIES, Recipe())
    x = torch.randn(6, 9, 3)
    _, final = network.recurrent(x)
    final = final[0] if cell == "lstm" else final
    ends = torch.cat([final[-2], final[-1]], dim=1) if direction == "bidirectional" else final[-1]
    torch.testing.assert_close(network(x), network.output(ends))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "darts"])
def test_a_text_is_read_at_its_last_token_whatever_follows_it(cell: str) -> None:
    nodes = [("tanh", 0), ("relu", 1)] if cell == "darts" else None
    network: Any = FAMILY.build(rnn(cell, 2, dropout=0.0, nodes=nodes), LABELLED, Recipe())
    tokens = [[3], [1, 4, 1, 5, 6], [2, 6, 5, 3, 5, 4, 6, 1, 3]]
    padded = torch.tensor([text + [0] * (9 - len(text)) for text in tokens])
    for text, found in zip(tokens, network(padded), strict=True):
        states, _ = network.recurrent(network.embedding(torch.tensor([text])))
        torch.testing.assert_close(found, network.output(states[0, -1]))
    empty = network(torch.zeros(1, 9, dtype=torch.long))
    states, _ = network.recurrent(torch.zeros(1, 1, 5))
    torch.testing.assert_close(empty, network.output(states[:, 0]))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_way_back_comes_to_a_text_through_zeros(cell: str) -> None:
    network: Any = FAMILY.build(rnn(cell, direction="bidirectional"), LABELLED, Recipe())
    found = network(torch.tensor([[3, 1, 4, 0, 0, 0, 0, 0, 0]]))
    text = network.embedding(torch.tensor([[3, 1, 4]]))
    _, there = network.recurrent(text)
    _, back = network.recurrent(torch.cat([text, torch.zeros(1, 6, 5)], dim=1))
    there, back = (end[0] if cell == "lstm" else end for end in (there, back))
    torch.testing.assert_close(found, network.output(torch.cat([there[0], back[1]], dim=1)))


def test_cells_that_are_left_open_are_gated_ones_for_texts() -> None:
    assert FAMILY.Settings().for_task(LABELLED).model_dump()["cell"] == {"choice": ["lstm", "gru"]}
    asked = FAMILY.Settings.model_validate({"cell": "darts"})
    assert asked.for_task(LABELLED) is asked
    assert FAMILY.Settings().for_task(TEXT) == FAMILY.Settings()


def test_the_darts_cell_is_that_of_its_authors() -> None:
    """`cell` and `forward` of DARTSCell in their rnn/model.py, in evaluation mode."""
    network: Any = FAMILY.build(rnn("darts", nodes=DARTS_V2), SERIES, Recipe())
    cell = network.recurrent.cells[0]
    first = torch.cat([cell.input.weight, cell.state.weight], dim=1).T
    activations = {
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "tanh": torch.tanh,
        "identity": lambda x: x,
    }
    x, h = torch.randn(2, 9, 3), torch.zeros(2, 5)
    for step in range(9):
        c0, h0 = torch.split(torch.cat([x[:, step], h], dim=-1).mm(first), 5, dim=-1)
        states = [h + c0.sigmoid() * (h0.tanh() - h)]
        for (name, pred), linear in zip(DARTS_V2, cell.maps, strict=True):
            ch = states[pred].mm(linear.weight.T)
            c, new = torch.split(ch, 5, dim=-1)
            s = states[pred] + c.sigmoid() * (activations[name](new) - states[pred])
            states.append(s)
        h = torch.mean(torch.stack(states[1:]), dim=0)
    torch.testing.assert_close(network(x), network.output(h))


def test_the_published_cell_has_the_published_size() -> None:
    """23 million on Penn Treebank, Liu et al. table 2: 850 units, with the output tied to the
    embedding, which is untied here.
    """
    task = Task("language_modeling", (35,), 10_000, vocabulary=10_000)
    found = cost(rnn("darts", hidden=850, nodes=DARTS_V2), task, Recipe())
    assert found["parameters"] - 10_000 * 850 == 8_500_000 + 10 * 850 * 1700 + 10_000
    assert round((found["parameters"] - 8_500_000) / 1e6) == 23


def test_both_directions_of_the_darts_cell_meet_at_the_ends() -> None:
    network: Any = FAMILY.build(
        rnn("darts", 2, direction="bidirectional", dropout=0.0, nodes=[("tanh", 0)]),
        SERIES,
        Recipe(),
    )
    x = torch.randn(4, 9, 3)
    forward, backward = network.recurrent.cells[:2]
    backward.load_state_dict(forward.state_dict())
    torch.testing.assert_close(backward(x), forward(x.flip(1)).flip(1))
    states, _ = network.recurrent(x)
    assert states.shape == (4, 9, 10)
    torch.testing.assert_close(
        network(x), network.output(torch.cat([states[:, -1, :5], states[:, 0, 5:]], dim=1))
    )


@pytest.mark.parametrize("cell", ["lstm", "darts"])
def test_gates_that_map_the_state_are_orthogonal_under_every_name(cell: str) -> None:
    nodes = [("tanh", 0)] if cell == "darts" else None
    network: Any = FAMILY.build(rnn(cell, nodes=nodes), SERIES, Recipe())
    initialize(network, "xavier", torch.Generator().manual_seed(0))
    layer = network.recurrent
    found = [layer.cells[0].state.weight, layer.cells[0].maps[0].weight] if nodes else []
    inputs = layer.cells[0].input.weight if nodes else layer.weight_ih_l0
    for weight in found or [layer.weight_hh_l0]:
        for gate in weight.split(5):
            torch.testing.assert_close(gate @ gate.T, torch.eye(5), atol=1e-5, rtol=0)
    assert inputs.abs().max() <= (6 / (5 + 3)) ** 0.5


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "darts"])
def test_a_language_model_knows_nothing_of_what_follows(cell: str) -> None:
    nodes = [("tanh", 0), ("relu", 0)] if cell == "darts" else None
    network = FAMILY.build(rnn(cell, 2, dropout=0.0, nodes=nodes), TEXT, Recipe()).eval()
    tokens = torch.randint(7, (3, 9))
    changed = torch.cat([tokens[:, :5], (tokens[:, 5:] + 1) % 7], dim=1)
    one, other = network(tokens), network(changed)
    assert torch.equal(one[:, :5], other[:, :5])
    assert not torch.equal(one[:, 5:], other[:, 5:])
    with pytest.raises(InfeasibleError, match="is forward, got bidirectional") as caught:
        FAMILY.build(rnn("lstm", direction="bidirectional"), TEXT, Recipe())
    assert caught.value.field == "direction"
    asked = FAMILY.Settings.model_validate({"direction": "bidirectional"})
    with pytest.raises(InfeasibleError, match="is forward"):
        FAMILY.decisions(asked, TEXT)
    domains = {d.name: d.domain for d in FAMILY.decisions(FAMILY.Settings(), TEXT)}
    assert domains["direction"] == Choice(("forward",))


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (2, 7), (3, 26), (4, 107)])
def test_cells_share_a_key_just_where_they_are_isomorphic(count: int, classes: int) -> None:
    """Rooted trees with edges of two colours, https://oeis.org/A000151."""
    sources = product(*(range(node) for node in range(1, count + 1)))
    texts = {
        canonical_text(list(zip(graph, colours, strict=True)))
        for graph in sources
        for colours in product(("tanh", "relu"), repeat=count)
    }
    assert len(texts) == classes


def test_isomorphic_cells_compute_the_same() -> None:
    one = rnn("darts", nodes=[("tanh", 0), ("relu", 0), ("sigmoid", 1)])
    other = rnn("darts", nodes=[("relu", 0), ("tanh", 0), ("sigmoid", 2)])
    assert FAMILY.canonical(one).key == FAMILY.canonical(other).key
    first, second = (FAMILY.build(found, SERIES, Recipe()) for found in (one, other))
    state = first.state_dict()
    maps = "recurrent.cells.0.maps"
    state[f"{maps}.0.weight"], state[f"{maps}.1.weight"] = (
        state[f"{maps}.1.weight"],
        state[f"{maps}.0.weight"],
    )
    second.load_state_dict(state)
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(first(x), second(x))
    different = rnn("darts", nodes=[("tanh", 0), ("relu", 0), ("sigmoid", 2)])
    assert FAMILY.canonical(one).key != FAMILY.canonical(different).key


def test_what_changes_nothing_is_not_in_the_key() -> None:
    assert FAMILY.canonical(rnn(dropout=0.3)) == FAMILY.canonical(rnn())
    assert FAMILY.canonical(rnn(layers=2, dropout=0.3)) != FAMILY.canonical(
        rnn(layers=2, dropout=0.1)
    )


@pytest.mark.parametrize(
    ("architecture", "field", "message"),
    [
        (rnn("elman"), "cell", "one of rnn, lstm, gru, darts, got 'elman'"),
        (rnn(layers=0), "layers", "positive integer, got 0"),
        (rnn(layers=2), "dropout", "0..1, without 1, got None"),
        (rnn(direction="up"), "direction", "one of forward, bidirectional, got 'up'"),
        (rnn("darts"), "nodes", "positive integer, got None"),
        (rnn("darts", nodes=[("tanh", 1)]), "node_1_source", "below 1, got 1"),
        (rnn("darts", nodes=[("gelu", 0)]), "node_1_activation", "one of tanh, .* got 'gelu'"),
    ],
)
def test_decisions_that_make_no_network_are_refused(
    architecture: Architecture, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        FAMILY.build(architecture, SERIES, Recipe())
    assert caught.value.field == field


@pytest.mark.parametrize("names", [["gelu"], ["tanh", "tanh"], []])
def test_activations_of_a_request_are_those_of_the_cell_each_once(names: list[str]) -> None:
    with pytest.raises(ValueError, match="activations"):
        FAMILY.Settings.model_validate({"activations": names})


def test_the_text_reads_as_a_person_would_write_it() -> None:
    architecture = rnn("gru", 2, 32, "bidirectional", dropout=0.1)
    network = FAMILY.build(architecture, SERIES, Recipe(dropout=0.2))
    assert TEXT_OF_GRU in source(network, architecture, SERIES)
    architecture = rnn("darts", nodes=[("tanh", 0), ("identity", 1)])
    text = source(FAMILY.build(architecture, TEXT, Recipe()), architecture, TEXT)
    assert "self.recurrent = DartsRNN(5, 5, [(0, nn.Tanh), (1, nn.Identity)])" in text
    assert "class DartsCell(nn.Module):" in text


TEXT_OF_GRU = '''\
class Network(nn.Module):
    """(N, 9, 3) -> (N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(
            3, 32, batch_first=True, num_layers=2, dropout=0.1, bidirectional=True
        )
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(x)
        last = torch.cat([states[:, -1, :32], states[:, 0, 32:]], dim=1)
        return self.output(self.dropout(last))
'''
