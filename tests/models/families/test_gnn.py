"""Graph networks: operations against PyTorch Geometric's, sparse against dense, links by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.cost import cost
from models.datasets.graphs import of_graphs, of_nodes
from models.exporters.source import source as text_of
from models.family import InfeasibleError, families
from models.graph import Features, Graph, Sparse
from models.graph_samples import Graphs
from models.operations.message_passing import DropEdge, aggregate, message_passings
from models.recipe import Recipe
from models.task import GraphSize, Task
from search.testing.small_graphs import citations, molecules

gnn = families["gnn"]
PLAIN: dict[str, Any] = {
    "hidden": 8,
    "activation": "relu",
    "norm": "none",
    "dropout": 0.0,
    "output": "linear",
}
TASK = Task("node_classification", (30,), 3, graph=GraphSize(60, 300, 300))
GRAPHS = Task("graph_classification", (5,), 3, graph=GraphSize(4, 6, 9))


def network(layers: list[tuple[str, int]], **changes: Any) -> Architecture:
    values = {**PLAIN, "layers": len(layers), **changes}
    for number, (operation, source) in enumerate(layers, 1):
        values |= {f"layer_{number}_operation": operation, f"layer_{number}_input": source}
        for option, value in (("heads", 2), ("aggregation", "mean")):
            if option in message_passings[operation].options:
                values.setdefault(f"layer_{number}_{option}", value)
    return Architecture("gnn", values)


def pairs() -> list[tuple[nn.Module, Any]]:
    """Our operations and those of PyTorch Geometric, with the same weights."""
    from torch_geometric import nn as pyg

    made: list[tuple[nn.Module, Any]] = []

    def pair(name: str, theirs: Any, names: dict[str, str], **options: Any) -> None:
        ours = message_passings[name].module(30, 8, **options)
        for parameter in ours.parameters():
            nn.init.normal_(parameter)
        known, state = dict(ours.named_parameters()), theirs.state_dict()
        assert len(names) == len(known) == len(list(theirs.parameters()))
        for other, own in names.items():
            state[other] = known[own].detach().reshape(state[other].shape)
        theirs.load_state_dict(state)
        made.append((ours, theirs))

    root = {"lin_l.weight": "neighbours.weight", "lin_r.weight": "root.weight"}
    rel = {"lin_rel.weight": "neighbours.weight", "lin_root.weight": "root.weight"}
    pair("gcn", pyg.GCNConv(30, 8), {"lin.weight": "linear.weight", "bias": "bias"})
    attention = {"lin.weight": "linear.weight", "bias": "bias"}
    attention |= {"att_src": "source", "att_dst": "target"}
    pair("gat", pyg.GATConv(30, 4, heads=2), attention, heads=2)
    for aggregation in ("sum", "mean"):
        theirs = pyg.SAGEConv(30, 8, aggr=aggregation)
        pair("sage", theirs, {**root, "lin_l.bias": "root.bias"}, aggregation=aggregation)
    perceptron = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 8))
    inner = {"nn.0.weight": "linear.weight", "nn.0.bias": "bias"}
    inner |= {"nn.2.weight": "output.weight", "nn.2.bias": "output.bias"}
    pair("gin", pyg.GINConv(perceptron), inner)
    pair("graph", pyg.GraphConv(30, 8), {**rel, "lin_rel.bias": "root.bias"})
    chebyshev = {"lins.0.weight": "root.weight", "lins.1.weight": "neighbours.weight"}
    pair("cheb", pyg.ChebConv(30, 8, K=2), {**chebyshev, "bias": "root.bias"})
    linear = {"lin.weight": "linear.weight", "lin.bias": "bias"}
    pair("sgc", pyg.SGConv(30, 8, K=3), linear, steps=3)
    linear = {"linear.weight": "linear.weight", "linear.bias": "linear.bias"}
    pair("appnp", Mapped(pyg.APPNP(3, 0.2)), linear, steps=3, teleport=0.2)
    return made


class Mapped(nn.Module):
    """A linear map, then operations of PyTorch Geometric that take what it gives, too."""

    def __init__(self, *operations: Any, activation: bool = False) -> None:
        super().__init__()
        self.linear, self.operations = nn.Linear(30, 8), nn.ModuleList(operations)
        self.activation = activation

    def forward(self, x: Tensor, edge_index: Tensor) -> Any:
        first = self.linear(x)
        if not self.activation:
            return self.operations[0](first, edge_index)
        first = x = first.relu()
        for operation in self.operations:
            x = operation(x.relu(), first, edge_index)
        return x


def gcnii() -> tuple[nn.Module, Any]:
    """PyTorch Geometric multiplies by the transposed weights here."""
    from torch_geometric.nn import GCN2Conv

    ours = message_passings["gcnii"].module(30, 8, steps=3, teleport=0.2)
    layers = [GCN2Conv(8, 0.2, 0.5, number) for number in (1, 2, 3)]
    theirs = Mapped(*layers, activation=True)
    state = dict(ours.state_dict())
    maps = {
        f"operations.{number}.weight1": state.pop(f"maps.{number}.weight").T for number in range(3)
    }
    theirs.load_state_dict(state | maps)
    return ours, theirs


def arma() -> tuple[nn.Module, Any]:
    """PyTorch Geometric multiplies by the transposed weights here."""
    from torch_geometric.nn import ARMAConv

    ours, theirs = message_passings["arma"].module(30, 8), ARMAConv(30, 8, act=None)
    state = {
        "bias": ours.root.bias,
        "init_weight": ours.neighbours.weight.T[None],
        "root_weight": ours.root.weight.T[None, None],
    }
    theirs(torch.zeros(1, 30), torch.zeros(2, 0, dtype=torch.int64))  # sizes its lazy weights
    theirs.load_state_dict(
        {
            key: state.get(key, value).detach().reshape(value.shape)
            for key, value in theirs.state_dict().items()
        }
    )
    return ours, theirs


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_operations_are_those_of_pytorch_geometric_on_sparse_and_dense_features() -> None:
    data = of_nodes("citations", citations())
    graph = data.train.x
    assert isinstance(graph, Graph) and isinstance(graph.x, Features)
    dense = graph.x.times(torch.eye(30))
    edge_index = torch.from_numpy(citations()["edge_index"])
    for ours, theirs in [*pairs(), arma(), gcnii()]:
        ours.eval(), theirs.eval()
        expected = theirs(dense, edge_index)
        expected.square().sum().backward()
        for x in (dense, graph.x):
            ours.zero_grad()
            found = ours(x, graph)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
            found.square().sum().backward()
            total = sum(float(p.grad.square().sum()) for p in ours.parameters())
            wanted = sum(
                float(p.grad.square().sum()) for p in theirs.parameters() if p.grad is not None
            )
            assert total == pytest.approx(wanted, rel=1e-3), type(ours).__name__


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_an_edge_counts_as_often_as_its_weight_says() -> None:
    """In PyTorch Geometric it is there so often."""
    arrays = citations()
    graph = of_nodes("citations", arrays).train.x
    assert isinstance(graph, Graph)
    x = torch.randn(60, 30, generator=torch.Generator().manual_seed(0))
    ends = graph.links.rows, graph.links.columns
    times = torch.where(ends[0] == ends[1], 1, 1 + (ends[0] + ends[1]) % 3)
    weighted = Graph(x, graph.links, weights=times.float())
    repeated = torch.from_numpy(arrays["edge_index"])
    repeated = repeated.repeat_interleave(1 + repeated.sum(dim=0) % 3, dim=1)
    for ours, theirs in [*pairs(), arma(), gcnii()]:
        ours.eval(), theirs.eval()
        expected = theirs(x, repeated)
        torch.testing.assert_close(ours(x, weighted), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(ours(x, Graph(x, graph.links)), expected, atol=1e-2)


def test_a_link_without_weight_is_none() -> None:
    """Of target 0: from 1 with weight 3, from 2 with none; node 2 has no other."""
    x = torch.tensor([[1.0], [2.0], [50.0]])
    links = Sparse(torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0, 1, 2, 1, 0, 2]), 3, 3)
    graph = Graph(x, links, weights=torch.tensor([1.0, 3.0, 0.0, 1.0, 0.0, 1.0]))
    for aggregation, expected in (
        ("sum", [6.0, 0, 0]),
        ("mean", [2.0, 0, 0]),
        ("max", [2.0, 0, 0]),
    ):
        assert aggregate(graph, x, aggregation)[:, 0].tolist() == expected
    of_gcn = links.product(graph.symmetric(True), x)[:, 0].tolist()
    # Degrees with the loop: 4, 1 and 1.
    assert of_gcn == pytest.approx([1 / 4 + 3 * 2 / 2, 2.0, 50.0])


def test_the_largest_neighbour_is_taken_after_the_map() -> None:
    x = torch.tensor([[1.0], [-2.0], [5.0], [7.0]])
    links = Sparse(torch.tensor([0, 0, 0, 1, 2, 3]), torch.tensor([0, 1, 2, 1, 2, 3]), 4, 4)
    sage = message_passings["sage"].module(1, 1, aggregation="max")
    for linear, weight in ((sage.root, 0.0), (sage.neighbours, -1.0)):
        nn.init.constant_(linear.weight, weight)
    output = sage(x, Graph(x, links))
    assert output[:, 0].tolist() == [2.0, 0.0, 0.0, 0.0]  # of -(-2) and -5; others have none


def test_a_product_has_the_gradients_of_a_dense_one() -> None:
    rows, columns = torch.tensor([0, 0, 2, 3]), torch.tensor([1, 4, 0, 4])
    sparse = Sparse(rows, columns, 4, 5)
    values = torch.randn(4, dtype=torch.float64, requires_grad=True)
    dense = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def whole() -> Tensor:
        return torch.zeros(4, 5, dtype=torch.float64).index_put((rows, columns), values)

    torch.testing.assert_close(sparse.product(values, dense), whole() @ dense)
    assert torch.autograd.gradcheck(sparse.product, (values, dense))


def test_a_tree_of_layers_computes_what_its_links_say() -> None:
    """Layers 2 and 3 read layer 1, layer 3 is a skip: 2 and 1 leave side by side."""
    architecture = network([("linear", 0), ("linear", 1), ("skip", 1)])
    built = gnn.build(architecture, TASK, Recipe()).eval()
    x = torch.randn(60, 30)
    links = torch.arange(60)
    found = built(Graph(x, Sparse(links, links, 60, 60), torch.tensor([7, 3])))
    weights = dict(built.named_parameters())
    first = (x @ weights["layer_1.operation.linear.weight"].T).relu()
    second = (first @ weights["layer_2.operation.linear.weight"].T).relu()
    expected = torch.cat([first, second], 1) @ weights["output.linear.weight"].T
    torch.testing.assert_close(found, expected[[7, 3]])


def test_without_layers_the_output_reads_the_features() -> None:
    """Sparse ones too: dropout and a map, no activation."""
    values = {"layers": 0, "dropout": 0.5, "output": "linear"}
    built = gnn.build(Architecture("gnn", values), TASK, Recipe()).eval()
    graph = of_nodes("citations", citations()).train.x
    assert isinstance(graph, Graph) and isinstance(graph.x, Features)
    weight, bias = built.state_dict().values()
    expected = graph.x.times(torch.eye(30)) @ weight.T + bias
    torch.testing.assert_close(built(graph), expected[graph.picked])
    with pytest.raises(InfeasibleError, match="layers of graphs must be a positive integer"):
        gnn.build(Architecture("gnn", {**values, "readout": "sum"}), GRAPHS, Recipe())


def test_jumping_knowledge_reads_every_layer() -> None:
    """As five skips beside five layers do."""
    plain = network([("gin", 0), ("gin", 1), ("skip", 1)], readout="sum", layer_3_input=1)
    jumping = network([("gin", 0), ("gin", 1)], readout="sum", jumping=True)
    assert gnn.canonical(plain).key == gnn.canonical(jumping).key
    built = gnn.build(jumping, GRAPHS, Recipe())
    assert built.state_dict()["output.weight"].shape == (3, 16)


def test_training_does_without_a_share_of_the_links_and_normalises_what_is_left() -> None:
    """Of 870 links 261 are gone at 0.3, give or take five deviations of 13.5: a false alarm in a
    million. No node loses the link to itself.
    """
    torch.manual_seed(0)
    rows, columns = torch.arange(30).repeat_interleave(30), torch.arange(30).repeat(30)
    graph = Graph(torch.randn(30, 30), Sparse(rows, columns, 30, 30), weights=rows + 1.0)
    dropping = DropEdge(0.3)
    found = dropping(graph)
    assert found.weights is not None
    kept = found.weights != 0
    assert kept[rows == columns].all()
    assert abs(int((~kept).sum()) - 261) < 5 * 13.5
    assert torch.equal(found.weights[kept], rows[kept] + 1.0)
    dense = found.weights.reshape(30, 30)
    scale = dense.sum(dim=1).rsqrt()
    layer = message_passings["gcn"].module(30, 8)
    expected = scale[:, None] * dense * scale @ (graph.x @ layer.linear.weight.T) + layer.bias
    torch.testing.assert_close(layer(graph.x, found), expected)
    assert dropping.eval()(graph) is graph


def test_edges_are_dropped_where_a_network_says_so() -> None:
    whole, fewer = network([("gcn", 0)]), network([("gcn", 0)], drop_edge=0.5)
    assert gnn.canonical(network([("gcn", 0)], drop_edge=0.0)) == gnn.canonical(whole)
    assert gnn.canonical(fewer) != gnn.canonical(whole)
    built = gnn.build(fewer, TASK, Recipe())
    assert "self.drop_edge = DropEdge(0.5)" in text_of(built, fewer, TASK)
    graph = TASK.zeros(4)
    assert isinstance(graph, Graph)
    graph.x = torch.randn(60, 30)
    assert not torch.equal(built(graph), built(graph))
    assert torch.equal(built.eval()(graph), built(graph))
    names = [d.name for d in gnn.decisions(gnn.Settings(), TASK)]
    assert "drop_edge" not in names
    asked = gnn.Settings.model_validate({"drop_edge": {"low": 0.0, "high": 0.5}})
    assert "drop_edge" in [d.name for d in gnn.decisions(asked, TASK)]


def test_what_is_left_open_suits_the_task() -> None:
    nodes, graphs = (
        gnn.Settings().for_task(task).model_dump(mode="json") for task in (TASK, GRAPHS)
    )
    assert nodes["layers"] == {"low": 0, "high": 4, "log": False, "step": None}
    assert (graphs["layers"]["low"], graphs["jumping"]) == (1, {"choice": [False, True]})
    shared = gnn.Settings().for_task(TASK, shares_weights=True)
    assert (shared.steps, shared.teleport, shared.jumping) == (5, 0.1, False)


def test_networks_that_compute_the_same_have_one_canonical_form() -> None:
    one = network([("gcn", 0), ("gat", 1), ("linear", 0), ("cheb", 1)])
    renumbered = network([("linear", 0), ("gcn", 0), ("cheb", 2), ("gat", 2)])
    assert gnn.canonical(one) == gnn.canonical(renumbered)
    skipped = network([("gcn", 0), ("skip", 1), ("gat", 2), ("linear", 0), ("cheb", 2)])
    assert gnn.canonical(one) == gnn.canonical(skipped)
    assert cost(one, TASK, Recipe()) == cost(skipped, TASK, Recipe())
    summed = network([("sage", 0)], layer_1_aggregation="sum")
    assert gnn.canonical(summed) == gnn.canonical(network([("graph", 0)]))
    others = [
        network([("gcn", 0), ("gat", 1), ("linear", 0), ("cheb", 0)]),
        network([("gcn", 0), ("gat", 1), ("linear", 0), ("cheb", 1), ("skip", 1)]),
        network([("gcn", 0), ("gat", 1), ("skip", 0), ("cheb", 1)]),
        network([("gcn", 0), ("gat", 1), ("linear", 0), ("cheb", 1)], dropout=0.5),
        network([("gcn", 0), ("gat", 1), ("linear", 0), ("cheb", 1)], layer_2_heads=4),
    ]
    assert len({gnn.canonical(architecture).key for architecture in [one, *others]}) == 6


def test_what_cannot_be_built_says_why() -> None:
    with pytest.raises(InfeasibleError, match="evenly, got heads 3 for hidden 8") as caught:
        gnn.build(network([("gat", 0)], layer_1_heads=3), TASK, Recipe())
    assert caught.value.field == "layer_1_heads"
    settings = gnn.Settings.model_validate({"heads": {"choice": [3, 7]}, "hidden": 16})
    with pytest.raises(InfeasibleError, match="got heads 3, 7 for hidden 16") as caught:
        gnn.decisions(settings, TASK)
    assert caught.value.field == "heads"
    with pytest.raises(InfeasibleError, match="layer_2_input must be below 2, got 2"):
        gnn.build(network([("gcn", 0), ("gcn", 2)]), TASK, Recipe())
    for field, names, message in (
        ("operations", ["gcn", "conv"], "not operations of graphs, allowed are appnp, arma, cheb"),
        ("operations", ["gcn", "gcn"], "listed once"),
        ("output", ["skip"], "cannot give the classes"),
    ):
        with pytest.raises(ValueError, match=message):
            gnn.Settings.model_validate({field: names})


def test_the_work_of_a_pass_is_that_of_its_entries_and_links() -> None:
    """A multiply-add counts two: the features that are not zero, then the links and loops."""
    task = Task("node_classification", (1433,), 7, graph=GraphSize(2708, 10556, 49216))
    architecture = network([("gcn", 0)], hidden=16, output="gcn")
    found = cost(architecture, task, Recipe())
    links = 10556 + 2708
    assert found["flops"] == 2 * (49216 * 16 + links * 16 + 2708 * 16 * 7 + links * 7)
    assert found["parameters"] == 1433 * 16 + 16 + 16 * 7 + 7


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_graphs_side_by_side_give_what_each_gives_alone(readout: str) -> None:
    data = of_graphs("molecules", molecules())
    layers = [("gat", 0), ("gin", 1), ("sage", 1), ("cheb", 0)]
    architecture = network(layers, readout=readout, layer_3_aggregation="max")
    built = gnn.build(architecture, data.task, Recipe(dropout=0.5)).eval()
    graphs = data.train.x
    assert isinstance(graphs, Graphs)
    together = built(graphs.index_select(0, torch.tensor([4, 0, 9])))
    alone = torch.cat([built(graphs[index : index + 1]) for index in (4, 0, 9)])
    torch.testing.assert_close(together, alone)
    joined = graphs.joined(graphs[3:5])
    torch.testing.assert_close(built(joined)[-2:], built(graphs[3:5]))
    assert len(joined) == len(np.unique(joined.graph_of)) == len(graphs) + 2
