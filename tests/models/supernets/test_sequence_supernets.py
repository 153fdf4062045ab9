"""Supernets of the families for sequences, against the plain networks in them and the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.architecture import Architecture
from models.family import FamilySettings, InfeasibleError, families
from models.memory import Kept
from models.recipe import Recipe
from models.supernets import Mix, Supernet, supernets
from models.task import Task
from tests.models.support.sampling import draw

SERIES = Task("forecasting", (7, 3), 4)
TARGETS = Task("forecasting", (7, 3), 4, targets=(2, 0))
SEQUENCE = Task("sequence_classification", (7, 3), 4)
TEXT = Task("text_classification", (7,), 3, vocabulary=11)
LANGUAGE = Task("language_modeling", (7,), 11, vocabulary=11)
IMAGE = Task("image_classification", (2, 6, 4), 3)

CELL = {"family": "rnn", "cell": "darts", "hidden": 4, "nodes": 3}
BLOCKS = {
    "family": "transformer",
    "layers": 2,
    "width": 8,
    "heads": 2,
    "norm": "pre",
    "positions": "learned",
    "readout": "mean",
    "patch": 2,
    "feed_forward": {"choice": [1, 3, 2]},
}
CASES: dict[str, tuple[Task, dict[str, Any]]] = {
    "cell in a language model": (LANGUAGE, CELL | {"layers": 1}),
    "cell both ways": (
        SERIES,
        CELL | {"layers": 2, "direction": "bidirectional", "dropout": 0.3},
    ),
    "cell of two activations": (
        SEQUENCE,
        CELL | {"layers": 1, "direction": "forward", "activations": ["relu", "tanh"]},
    ),
    "cell on texts": (TEXT, CELL | {"layers": 1, "direction": "bidirectional"}),
    "blocks in a language model": (LANGUAGE, BLOCKS | {"positions": "rotary", "dropout": 0.2}),
    "blocks on texts": (TEXT, BLOCKS | {"dropout": 0.0, "readout": "token"}),
    "blocks on series": (SERIES, BLOCKS | {"dropout": 0.0, "norm": "post"}),
    "cell of differences": (
        TARGETS,
        CELL | {"layers": 1, "direction": "forward", "relative": True},
    ),
    "cell of scaled windows": (
        replace(TARGETS, known=(1,)),
        CELL | {"layers": 1, "direction": "forward", "window_scaling": "last"},
    ),
    "blocks of scaled windows": (TARGETS, BLOCKS | {"dropout": 0.0, "window_scaling": "mean"}),
    "blocks of differences": (TARGETS, BLOCKS | {"dropout": 0.0, "relative": True}),
    "blocks on sequences": (SEQUENCE, BLOCKS | {"dropout": 0.0, "positions": "sinusoidal"}),
    "blocks on images": (IMAGE, BLOCKS | {"dropout": 0.0, "mixer": {"choice": ["pooling"]}}),
}


def settings_of(request: dict[str, Any]) -> FamilySettings:
    return families[request["family"]].Settings.model_validate(request)


def supernet(case: str) -> Supernet:
    task, request = CASES[case]
    torch.manual_seed(0)
    return supernets[request["family"]].build(settings_of(request), task).double()


def inputs(task: Task) -> Tensor:
    torch.manual_seed(1)
    if task.vocabulary is None:
        return torch.randn(5, *task.input_shape, dtype=torch.double)
    tokens = torch.randint(1, task.vocabulary, (5, *task.input_shape))
    tokens[0, 4:] = 0  # padding of a text
    return tokens


def points(case: str, count: int) -> list[Architecture]:
    task, request = CASES[case]
    decisions = families[request["family"]].decisions(settings_of(request), task)
    return [draw(request["family"], decisions, Random(seed)) for seed in range(count)]


def alphas_of(network: Supernet) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return {
        name: torch.randn(len(group.rows), len(group.options), dtype=torch.double).requires_grad_()
        for name, group in network.groups.items()
    }


def softmax(alphas: Mix) -> Mix:
    return {name: alpha.softmax(dim=1) for name, alpha in alphas.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_subnet_is_the_plain_network_with_its_weights(case: str) -> None:
    """Outputs and gradients in training, where dropout draws the same, and in evaluation."""
    task, request = CASES[case]
    network, x = supernet(case), inputs(task)
    for architecture in points(case, 6):
        plain = families[request["family"]].build(architecture, task, Recipe()).double()
        plain.load_state_dict(network.weights_of(architecture))
        mix = network.mix_of(architecture)
        outputs, gradients = [], []
        for net, given in ((network.train(), (x, mix)), (plain.train(), (x,))):
            net.zero_grad()
            torch.manual_seed(3)
            outputs.append(net(*given))
            outputs[-1].square().sum().backward()
            gradients.append(
                sorted(p.grad.norm().item() for p in net.parameters() if p.grad is not None)
            )
        torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
        assert [g for g in gradients[0] if g] == pytest.approx(
            [g for g in gradients[1] if g], rel=1e-9
        )
        torch.testing.assert_close(network.eval()(x, mix), plain.eval()(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_derived_from_the_mix_of_an_architecture_is_that_architecture(case: str) -> None:
    network = supernet(case)
    for architecture in points(case, 20):
        assert network.derive(network.mix_of(architecture)) == architecture


@pytest.mark.parametrize("case", CASES)
def test_an_option_of_weight_zero_gets_no_gradient(case: str) -> None:
    task, _ = CASES[case]
    network = supernet(case)
    mix = network.mix_of(points(case, 1)[0])
    chosen = {name: weights.requires_grad_() for name, weights in mix.items()}
    network(inputs(task), chosen).square().sum().backward()
    for name, weights in chosen.items():
        assert weights.grad is not None
        assert not weights.grad[weights == 0].any(), name
        assert weights.grad.any(dim=1).sum() == (weights != 0).any(dim=1).sum(), name


def test_weights_of_options_that_are_not_chosen_get_no_gradient() -> None:
    network = supernet("blocks in a language model")
    mix = network.mix_of(points("blocks in a language model", 1)[0])
    mix["mixer"][:] = 0
    mix["mixer"][:, network.groups["mixer"].options.index("pooling_3")] = 1
    network(inputs(LANGUAGE), mix).square().sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    mixers = {name for name, _ in network.named_parameters() if ".mixers." in name}
    assert without == mixers != set()


def papers_states(network: Any, x: Tensor, mix: Tensor, relaxed: bool) -> Tensor:
    """`DARTSCellSearch.cell` of the authors' rnn/model_search.py, with the mean of what arrives at
    a node in place of their sum and batch normalisation.
    """
    cell = network.network.recurrent.cells[0]
    mix = mix * (mix.detach() != 0)  # an option of weight zero gets no gradient
    functions = [torch.tanh, torch.relu, torch.sigmoid, lambda h: h]
    hidden, out = torch.zeros(len(x), 4, dtype=torch.double), []
    for step in network.network.embedding(x).unbind(dim=1):
        c, h = (cell.input(step) + cell.state(hidden)).chunk(2, dim=-1)
        states = (hidden + c.sigmoid() * (h.tanh() - hidden))[None]
        offset = 0
        for node, linear in enumerate(cell.maps, 1):
            c, h = linear(states).chunk(2, dim=-1)
            s = torch.zeros_like(states[0])
            for k, fn in enumerate(functions, 1):
                unweighted = states + c.sigmoid() * (fn(h) - states)
                s = s + (mix[offset : offset + node, k, None, None] * unweighted).sum(dim=0)
            arrived = mix[offset : offset + node, 1:]
            s = s / (arrived.sum() if relaxed else (arrived != 0).sum())
            states = torch.cat([states, s[None]])
            offset += node
        hidden = states[1:].mean(dim=0)
        out.append(hidden)
    return torch.stack(out, dim=1)


def softmax_sample(alphas: Mix) -> Mix:
    """One option a row, with the gradient of the softmax, as in GDAS; with an edge of none."""
    soft = alphas["cell"].softmax(dim=1)
    hard = functional.one_hot(torch.tensor([1, 4, 2, 3, 0, 2]), 5).to(soft)
    return {"cell": hard - soft.detach() + soft}


@pytest.mark.parametrize("mixed", [softmax, softmax_sample])
def test_the_mixed_cell_is_that_of_its_authors(mixed: Callable[[Mix], Mix]) -> None:
    """Outputs, and gradients of alphas and weights."""
    network: Any = supernet("cell in a language model")
    alphas, x = alphas_of(network), inputs(LANGUAGE)
    mix = mixed(alphas)
    states = papers_states(network, x, mix["cell"], relaxed=mixed is softmax)
    parameters = [*alphas.values(), *network.parameters()]
    found = [
        (outputs, torch.autograd.grad(outputs.square().sum(), parameters, retain_graph=True))
        for outputs in (network(x, mix), network.network.read(states, x))
    ]
    assert found[0][1][0].any(dim=1).sum() >= 5  # every row but that of none
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_a_node_that_nothing_leads_to_is_zero() -> None:
    """As where GDAS draws none for all edges of a node."""
    network: Any = supernet("cell in a language model")
    none = torch.zeros(6, 5, dtype=torch.double)
    none[:, 0] = 1
    states = network(inputs(LANGUAGE), {"cell": none})
    torch.testing.assert_close(states, network.network.output.bias.expand_as(states))


def test_the_strongest_edge_of_a_node_is_kept_and_none_never() -> None:
    network = supernet("cell in a language model")
    mix = torch.full((6, 5), 0.01)
    mix[:, 0] = 0.9
    rows, options = network.groups["cell"].rows, network.groups["cell"].options
    mix[rows.index("1-2"), options.index("relu")] = 0.05
    mix[rows.index("0-3"), options.index("tanh")] = 0.05
    mix[rows.index("2-3"), options.index("identity")] = 0.06
    decisions = network.derive({"cell": mix}).decisions
    assert (decisions["node_2_source"], decisions["node_2_activation"]) == (1, "relu")
    assert (decisions["node_3_source"], decisions["node_3_activation"]) == (2, "identity")


def test_mixers_activations_and_units_are_weighted_sums() -> None:
    """One pre-norm block, computed from the plain blocks of each option: each sum is linear."""
    task, request = CASES["blocks on series"]
    chosen = settings_of(request | {"layers": 1, "norm": "pre"})
    torch.manual_seed(0)
    network: Any = supernets["transformer"].build(chosen, task).double()
    alphas, x = alphas_of(network), inputs(task)
    mix = softmax(alphas)
    (block,) = network.blocks
    tokens, _ = network.frame.embedded(x)
    between = tokens
    normed = block.norm_1(tokens)
    for weight, mixer in zip(mix["mixer"][0], block.mixers.values(), strict=True):
        between = between + weight * mixer(normed)
    normed, fed = block.norm_2(between), 0
    functions = [functional.gelu, functional.relu, functional.silu]
    for share, ratio in zip(mix["feed_forward"][0], (1, 3, 2), strict=True):
        inner = functional.linear(normed, block.widen.weight[: 8 * ratio])
        inner = inner + block.widen.bias[: 8 * ratio]
        inner = sum(w * f(inner) for w, f in zip(mix["activation"][0], functions, strict=True))
        part = functional.linear(inner, block.narrow.weight[:, : 8 * ratio], block.narrow.bias)
        fed = fed + share * part
    expected = network.frame.read(between + fed, None)
    parameters = [*alphas.values(), *network.parameters()]
    pairs = [
        (outputs, torch.autograd.grad(outputs.square().sum(), parameters, retain_graph=True))
        for outputs in (network(x, mix), expected)
    ]
    torch.testing.assert_close(*pairs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("request_", "task", "field", "message"),
    [
        ({"family": "rnn"}, None, "cell", r'cell, layers, hidden, nodes.*\{"cell": "darts", "lay'),
        ({"family": "rnn"}, SERIES, "cell", r"hidden, direction, dropout, nodes"),
        (CELL | {"layers": 1}, SERIES, "direction", r'fix them, as by \{"direction": "forward"\}'),
        ({"family": "rnn", "cell": "gru"}, None, "layers", "layers, hidden, nodes"),
        (CELL | {"cell": "gru", "layers": 1}, LANGUAGE, "cell", "have cell darts, got gru"),
        ({"family": "transformer"}, None, "layers", "layers, width, norm, positions, dropout"),
        (BLOCKS, TEXT, "dropout", r'fix them, as by \{"dropout": 0.0\}'),
        (BLOCKS | {"dropout": 0.0, "heads": 3}, TEXT, "heads", "3 heads and width 8"),
    ],
)
def test_what_cannot_share_weights_is_named_with_a_way_out(
    request_: dict[str, Any], task: Task | None, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        supernets[request_["family"]].check(settings_of(request_), task=task)
    assert caught.value.field == field
    if task is not None:
        with pytest.raises(InfeasibleError, match=message):
            supernets[request_["family"]].build(settings_of(request_), task)


@pytest.mark.parametrize("case", ["cell in a language model", "blocks on texts"])
def test_operations_see_all_channels(case: str) -> None:
    task, request = CASES[case]
    settings = settings_of(request)
    for call in (supernets[settings.family].check, supernets[settings.family].build):
        with pytest.raises(InfeasibleError, match='give the strategy "partial": 1'):
            call(settings, task=task, partial=4)  # type: ignore[operator]  # of both


@pytest.mark.parametrize(
    ("case", "decision", "value"),
    [("cell in a language model", "hidden", 8), ("blocks on texts", "readout", "mean")],
)
def test_weights_of_another_shape_of_network_are_refused(
    case: str, decision: str, value: str | int
) -> None:
    network, architecture = supernet(case), points(case, 1)[0]
    other = Architecture(architecture.family, {**architecture.decisions, decision: value})
    for call in (network.mix_of, network.weights_of):
        with pytest.raises(ValueError, match=f"{decision} of this supernet is .* got {value!r}"):
            call(other)


@pytest.mark.parametrize("case", CASES)
def test_what_is_computed_again_has_the_same_gradients(case: str) -> None:
    """Dropout included: the second pass drops what the first one has dropped."""
    found = []
    for recomputes in (False, True):
        network = supernet(case).train()
        network.recomputes = recomputes
        alphas = alphas_of(network)
        mix = {name: alpha.softmax(dim=1) for name, alpha in alphas.items()}
        x = inputs(CASES[case][0])
        kept = Kept()
        torch.manual_seed(4)
        with kept:
            loss = network(x, mix).square().mean()
        torch.autograd.backward(loss)
        slopes = [p.grad for p in (*network.parameters(), *alphas.values()) if p.grad is not None]
        found.append((loss, slopes, kept.bytes()))
    plain, again = found
    assert torch.equal(plain[0], again[0])
    assert len(plain[1]) == len(again[1])
    assert all(map(torch.equal, plain[1], again[1]))
    assert again[2] < plain[2]
