"""Supernets of perceptrons and of graph networks, against the plain networks in them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from models.architecture import Architecture
from models.datasets.graphs import of_graphs, of_nodes
from models.family import InfeasibleError, families
from models.graph import Features, Graph
from models.graph_samples import Graphs, Nodes
from models.memory import Kept
from models.recipe import Recipe, TrainingSettings
from models.supernets import Supernet, supernets
from models.task import Task
from search.space import SearchSpace
from search.testing.small_graphs import citations, molecules

TABLE = Task("tabular_classification", (8,), 3)
CITATIONS, MOLECULES = of_nodes("nodes", citations()), of_graphs("graphs", molecules())
OPERATIONS = ["gcn", "gat", "gin", "sage", "cheb", "arma", "graph", "linear", "skip"]
OPERATIONS += ["sgc", "appnp", "gcnii"]
GRAPH = {"operations": OPERATIONS, "hidden": 6, "heads": 2, "aggregation": "mean", "layers": 4}
GRAPH |= {"steps": 3, "teleport": 0.2}

SPACES: dict[str, tuple[Task, dict[str, Any]]] = {
    f"mlp {norm}": (
        TABLE,
        {
            "family": "mlp",
            "depth": {"low": 0, "high": 3},
            "width": {"choice": [4, 8, 5]},  # one is the number of features
            "norm": norm,
            "dropout": dropout,
        },
    )
    for norm, dropout in (("none", 0.0), ("batch", 0.3), ("layer", 0.1))
} | {
    "mlp one depth": (TABLE, {"family": "mlp", "depth": 2, "norm": "layer", "dropout": 0.0}),
    "nodes": (CITATIONS.task, {**GRAPH, "norm": "batch", "dropout": 0.4}),
    "nodes chain": (
        CITATIONS.task,
        {**GRAPH, "links": "chain", "layers": {"low": 1, "high": 3}, "norm": "layer", "dropout": 0},
    ),
    "few layers": (
        CITATIONS.task,
        {
            **GRAPH,
            "operations": ["skip", "gcn"],
            "layers": {"choice": [3, 5]},
            "norm": "none",
            "dropout": 0.5,
        },
    ),
    "graphs": (
        MOLECULES.task,
        {
            **GRAPH,
            "layers": {"low": 1, "high": 4},
            "aggregation": "sum",
            "norm": "batch",
            "dropout": 0.2,
        },
    ),
}


def space_of(name: str) -> SearchSpace:
    task, settings = SPACES[name]
    family = families[settings.get("family", "gnn")]
    parsed = family.Settings.model_validate({"family": settings.get("family", "gnn"), **settings})
    return SearchSpace.of_family(parsed.family, family, parsed, TrainingSettings(), task)


def supernet_of(name: str) -> Supernet:
    task, settings = SPACES[name]
    family = settings.get("family", "gnn")
    parsed = families[family].Settings.model_validate({"family": family, **settings})
    torch.manual_seed(0)
    return supernets[family].build(parsed, task).double()


def inputs_of(name: str) -> Any:
    """In float64."""
    task, _ = SPACES[name]
    if task is TABLE:
        torch.manual_seed(1)
        return torch.randn(10, 8, dtype=torch.double)
    samples = CITATIONS.train.x if task is CITATIONS.task else MOLECULES.train.x
    assert isinstance(samples, Nodes | Graphs)
    x = samples.x
    doubled = Features(x.places, x.values.double()) if isinstance(x, Features) else x.double()
    return Graph(doubled, samples.links, samples.picked, samples.graph_of, samples.graphs)


def random_mix(network: Supernet) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return {
        name: torch.randn(len(group.rows), len(group.options), dtype=torch.double)
        .softmax(dim=1)
        .requires_grad_()
        for name, group in network.groups.items()
    }


@pytest.mark.parametrize("name", SPACES)
def test_a_subnet_is_the_plain_network_with_its_weights(name: str) -> None:
    """In training, with the same dropout, and in evaluation, after statistics of other mixes."""
    network, x, (task, _) = supernet_of(name), inputs_of(name), SPACES[name]
    space = space_of(name)
    with torch.no_grad():
        for parameter in network.parameters():  # biases and scales too
            parameter.add_(torch.randn_like(parameter) / 10)
    for seed in range(12):
        architecture = space.sample(Random(seed)).architecture
        network.train()(x, random_mix(network))
        mix, weights = network.mix_of(architecture), network.weights_of(architecture)
        plain = families[architecture.family].build(architecture, task, Recipe()).double()
        plain.load_state_dict(weights)
        for mode in (False, True):
            found = []
            for module, arguments in ((network, (x, mix)), (plain, (x,))):
                torch.manual_seed(seed)
                found.append(module.train(mode)(*arguments))
            torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_a_step_of_a_subnet_is_that_of_the_plain_network(name: str) -> None:
    """Gradients of all weights, and statistics."""
    network, x, (task, _) = supernet_of(name), inputs_of(name), SPACES[name]
    space = space_of(name)
    for seed in range(4):
        architecture = space.sample(Random(seed)).architecture
        plain = families[architecture.family].build(architecture, task, Recipe()).double()
        plain.load_state_dict(network.weights_of(architecture))
        for module, arguments in ((network, (x, network.mix_of(architecture))), (plain, (x,))):
            torch.manual_seed(seed)
            module.zero_grad()
            module.train()(*arguments).square().mean().backward()
            shared = [p for n, p in module.named_parameters() if p.grad is not None]
            torch.optim.SGD(shared, lr=0.1).step()
        stepped = network.weights_of(architecture)
        expected = plain.state_dict()
        shared_names = [n for n in expected if not n.endswith("num_batches_tracked")]
        if architecture.family == "gnn":  # its normalisation has no scale and shift
            shared_names = [n for n in shared_names if ".norm." not in n or "running" in n]
        for key in shared_names:
            torch.testing.assert_close(stepped[key], expected[key], rtol=1e-9, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", SPACES)
def test_what_is_derived_from_the_mix_of_an_architecture_is_that_architecture(name: str) -> None:
    network, space = supernet_of(name), space_of(name)
    for seed in range(30):
        architecture = space.sample(Random(seed)).architecture
        assert network.derive(network.mix_of(architecture)) == architecture


@pytest.mark.parametrize("name", SPACES)
def test_every_option_of_a_mixture_gets_a_gradient_and_one_of_weight_zero_gets_none(
    name: str,
) -> None:
    network, x = supernet_of(name).eval(), inputs_of(name)
    mix = random_mix(network)
    network(x, mix).square().sum().backward()
    for group, weights in mix.items():
        reached = weights.grad != 0
        if group == "residual":
            reached = reached[:, [label == "true" for label in network.groups[group].options]]
        assert reached.all(), group
    mix = random_mix(network)
    with torch.no_grad():
        for weights in mix.values():
            weights[:, 0] = 0
    network.zero_grad()
    network(x, mix).square().sum().backward()
    for group, weights in mix.items():
        assert not weights.grad[:, 0].any(), group
    first = network.groups.get("operation")
    if first is not None and not first.skips[:1] == first.options[:1]:
        idle = [p for n, p in network.named_parameters() if f".{first.options[0]}." in n]
        assert idle and all(p.grad is None for p in idle)


@pytest.mark.parametrize("name", ["mlp batch", "nodes", "graphs"])
def test_the_curvature_along_a_direction_is_that_of_finite_differences(name: str) -> None:
    """What stops a search before it collapses needs second derivatives of every operation."""
    network, x = supernet_of(name).eval(), inputs_of(name)
    alphas = [mix.detach().log().requires_grad_() for mix in random_mix(network).values()]
    direction = [torch.randn_like(alpha) for alpha in alphas]

    def slopes(step: float = 0.0, create_graph: bool = False) -> tuple[Tensor, ...]:
        moved = [alpha + step * along for alpha, along in zip(alphas, direction, strict=True)]
        mix = {g: m.softmax(dim=1) for g, m in zip(network.groups, moved, strict=True)}
        loss = network(x, mix).square().mean()
        return torch.autograd.grad(loss, alphas, create_graph=create_graph)

    products = torch.autograd.grad(slopes(create_graph=True), alphas, direction)
    for exact, above, below in zip(products, slopes(1e-5), slopes(-1e-5), strict=True):
        torch.testing.assert_close(exact, (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_layer_of_several_weights_is_read_by_their_product() -> None:
    """Two layers, the second reads the first with weight 0.3: by hand, with linear maps."""
    settings = {**GRAPH, "operations": ["linear", "graph"], "layers": 2, "norm": "none"}
    parsed = families["gnn"].Settings.model_validate(
        {**settings, "activation": "relu", "output": ["linear"], "dropout": 0.0, "heads": 1}
    )
    torch.manual_seed(0)
    network = supernets["gnn"].build(parsed, CITATIONS.task).double()
    x = inputs_of("nodes")
    mix = {
        "operation": torch.tensor([[1, 0], [1, 0]], dtype=torch.double),
        "layer_2_input": torch.tensor([[0.7, 0.3]], dtype=torch.double),
    }
    state = network.state_dict()

    def of(layer: int, kind: str) -> Tensor:
        return state[f"layer_{layer}.operations.linear.linear.{kind}"]

    features = x.x.times(torch.eye(30).double())
    first = (features @ of(1, "weights.features").t() + of(1, "bias")).relu()
    mapped = (
        0.7 * features @ of(2, "weights.features").t() + 0.3 * first @ of(2, "weights.hidden").t()
    )
    second = (mapped + of(2, "bias")).relu()
    beside = torch.cat([0.7 * first, second], dim=1)
    expected = (
        beside @ state["outputs.linear.linear.weight"].t() + state["outputs.linear.linear.bias"]
    )
    torch.testing.assert_close(network(x, mix), expected[x.picked], rtol=1e-9, atol=1e-9)


def test_a_unit_counts_as_much_as_the_widths_that_have_it() -> None:
    """One layer of 2 or 4 units, by hand."""
    parsed = families["mlp"].Settings.model_validate(
        {
            "depth": 1,
            "width": {"choice": [2, 4]},
            "activation": {"choice": ["relu", "tanh"]},
            "residual": False,
            "norm": "none",
            "dropout": 0.0,
        }
    )
    torch.manual_seed(0)
    network = supernets["mlp"].build(parsed, TABLE).double()
    x, state = inputs_of("mlp none"), network.state_dict()
    mix = {
        "width": torch.tensor([[0.3, 0.7]], dtype=torch.double),
        "activation": torch.tensor([[0.6, 0.4]], dtype=torch.double),
    }
    mapped = x @ state["layer_1.linear.weight"].t() + state["layer_1.linear.bias"]
    units = torch.tensor([1, 1, 0.7, 0.7], dtype=torch.double) * (
        0.6 * mapped.relu() + 0.4 * mapped.tanh()
    )
    expected = units @ state["output.weight"].t() + state["output.bias"]
    torch.testing.assert_close(network(x, mix), expected, rtol=1e-9, atol=1e-9)


ONE_MLP = {"norm": "none", "dropout": 0.0}
ONE_GNN = {"hidden": 8, "heads": 2, "aggregation": "sum", "norm": "none", "dropout": 0.0}


@pytest.mark.parametrize(
    ("family", "settings", "partial", "field", "message"),
    [
        ("mlp", {"dropout": 0.0}, 1, "norm", "one value of norm.*none.*batch.*layer"),
        ("mlp", {"norm": "none"}, 1, "dropout", r"one value of dropout.*0\.3"),
        (
            "mlp",
            {**ONE_MLP, "width": {"low": 1, "high": 65}},
            1,
            "width",
            "at most 64 widths of a layer, got 65",
        ),
        (
            "mlp",
            {**ONE_MLP, "depth": 1, "width": 4, "activation": "relu", "residual": False},
            1,
            "depth",
            "the space is one network",
        ),
        ("mlp", ONE_MLP, 4, "family", "mlp see all channels, got 1 of 4"),
        ("gnn", {**ONE_GNN, "hidden": {"choice": [8, 16]}}, 1, "hidden", r"hidden.*\[8, 16\]"),
        ("gnn", {**ONE_GNN, "heads": {"choice": [1, 2]}}, 1, "heads", "one value of heads"),
        (
            "gnn",
            {n: v for n, v in ONE_GNN.items() if n != "aggregation"},
            1,
            "aggregation",
            "one value of aggregation",
        ),
        ("gnn", ONE_GNN, 2, "family", "gnn see all channels, got 1 of 2"),
        (
            "gnn",
            {
                **ONE_GNN,
                "layers": 1,
                "operations": ["gcn"],
                "activation": "relu",
                "output": ["gcn"],
                "readout": "sum",
            },
            1,
            "layers",
            "the space is one network",
        ),
    ],
)
def test_networks_that_cannot_share_weights_are_refused(
    family: str, settings: dict[str, Any], partial: int, field: str, message: str
) -> None:
    parsed = families[family].Settings.model_validate({"family": family, **settings})
    with pytest.raises(InfeasibleError, match=message) as caught:
        supernets[family].check(parsed, partial=partial)
    assert caught.value.field == field


def test_heads_count_only_where_an_operation_has_them() -> None:
    parsed = families["gnn"].Settings.model_validate(
        {
            **{"hidden": 8, "norm": "none", "dropout": 0.0, "operations": ["gcn", "skip"]},
            "output": ["gcn"],
        }
    )
    supernets["gnn"].check(parsed)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("nodes", {"hidden": 8}, "hidden of this supernet is 6, got 8"),
        ("nodes", {"layer_1_operation": "none"}, "layer_1_operation of this supernet: got 'none'"),
        ("graphs", {"readout": "median"}, "readout of this supernet: got 'median'"),
        ("mlp none", {"layer_1_width": 7}, r"layer_1_width of this supernet: got 7"),
    ],
)
def test_an_architecture_of_another_space_is_refused(
    name: str, change: dict[str, Any], message: str
) -> None:
    network = supernet_of(name)
    mix = {group: torch.ones_like(w) for group, w in random_mix(network).items()}
    known = network.derive(random_mix(network))
    other = Architecture(known.family, {**known.decisions, **change})
    assert mix.keys() == network.groups.keys()
    for refuse in (network.mix_of, network.weights_of):
        with pytest.raises(ValueError, match=message):
            refuse(other)


@pytest.mark.parametrize("name", SPACES)
def test_layers_that_are_computed_again_have_the_same_gradients_and_statistics(name: str) -> None:
    """Dropout included: the second pass drops what the first one has dropped."""
    found = []
    for recomputes in (False, True):
        network, mix = supernet_of(name).train(), random_mix(supernet_of(name))
        network.recomputes = recomputes
        x, kept = inputs_of(name), Kept()
        torch.manual_seed(4)
        with kept:
            loss = network(x, mix).square().mean()
        torch.autograd.backward(loss)
        slopes = [p.grad for p in (*network.parameters(), *mix.values()) if p.grad is not None]
        found.append((loss, slopes, list(network.buffers()), kept.bytes()))
    plain, again = found
    assert torch.equal(plain[0], again[0])
    for one, other in ((plain[1], again[1]), (plain[2], again[2])):
        assert len(one) == len(other)
        assert all(map(torch.equal, one, other))
    assert again[3] < plain[3]
