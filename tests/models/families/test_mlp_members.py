"""Members of a perceptron that share weights, beside each of them as a plain network."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture
from models.datasets import Dataset, Split
from models.domains import Scalar, as_domain
from models.exporters.source import source
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.supernets import supernets
from models.task import MULTILABEL, Task
from models.training.regularization import weights
from models.training.trainer import train

FAMILY = families["mlp"]
CLASSES = Task("tabular_classification", (5,), 3)
ONE = {
    "depth": 1,
    "norm": "none",
    "dropout": 0.0,
    "layer_1_width": 4,
    "layer_1_activation": "tanh",
    "layer_1_residual": False,
}


def network_of(members: int, task: Task = CLASSES, **more: Scalar) -> Any:
    architecture = Architecture("mlp", {**ONE, "members": members, **more})
    return FAMILY.build(architecture, task, Recipe())


def alone(network: Any, member: int, x: Tensor) -> Tensor:
    """What a member says, by a weight of its own: W scaled by its r and its s."""
    shared, last = network.layer_1.linear, network.output.maps
    weight = shared.s[member][:, None] * shared.linear.weight * shared.r[member]
    hidden = torch.tanh(x @ weight.T + shared.bias[member])
    outputs = len(last.bias) // network.members
    rows = slice(member * outputs, (member + 1) * outputs)
    return hidden @ last.weight[rows, :, 0].T + last.bias[rows]


def changed(network: Any) -> Any:
    """With scales that are not 1."""
    for scale in (network.layer_1.linear.r, network.layer_1.linear.s):
        nn.init.normal_(scale)
    return network


def test_each_member_is_a_plain_network_with_scaled_weights() -> None:
    network, x = changed(network_of(3)), torch.randn(7, 5)
    for member in range(3):
        torch.testing.assert_close(network.each(x)[:, member], alone(network, member, x))


def test_they_answer_by_the_mean_of_their_probabilities_or_values() -> None:
    x = torch.randn(7, 5)
    network = changed(network_of(3))
    said = torch.stack([alone(network, member, x).softmax(dim=1) for member in range(3)])
    torch.testing.assert_close(network(x).softmax(dim=1), said.mean(dim=0))
    network = changed(network_of(3, Task(MULTILABEL, (5,), 2)))
    said = torch.stack([alone(network, member, x).sigmoid() for member in range(3)])
    torch.testing.assert_close(network(x).sigmoid(), said.mean(dim=0))
    network = changed(network_of(3, Task("tabular_regression", (5,), 2)))
    said = torch.stack([alone(network, member, x) for member in range(3)])
    torch.testing.assert_close(network(x), said.mean(dim=0))


def test_each_is_trained_to_be_right_by_itself() -> None:
    """The loss is the mean of theirs, which is above that of what they say together; the gradient
    of a step is that of this mean.
    """
    x, y = torch.randn(12, 5), torch.arange(12) % 3
    data = Dataset("three", CLASSES, Split(x, y), Split(x, y), Split(x, y), x, {}, "f")
    network = network_of(4)
    losses = [functional.cross_entropy(alone(network, m, x), y) for m in range(4)]
    loss = torch.stack(losses).mean()
    (wanted,) = torch.autograd.grad(loss, [network.layer_1.linear.linear.weight])
    before = network.layer_1.linear.linear.weight.detach().clone()
    recipe = Recipe(epochs=1, batch_size=12, optimizer="sgd", learning_rate=0.1)
    recipe = recipe.model_copy(update={"schedule": "constant"})
    (metrics,) = train(network, data, recipe, seed=0)
    assert metrics["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
    after = network.layer_1.linear.linear.weight.detach()
    torch.testing.assert_close(after, before - 0.1 * wanted, rtol=1e-4, atol=1e-6)


def test_they_begin_unlike_by_the_signs_of_their_inputs() -> None:
    network = network_of(16)
    r = network.layer_1.linear.r
    assert bool((r.abs() == 1).all()) and len(r.unique(dim=0)) > 8
    assert bool((network.layer_1.linear.s == 1).all())


def test_penalties_leave_their_scales_and_biases_alone() -> None:
    network = network_of(3)
    names = {id(p): name for name, p in network.named_parameters()}
    assert [names[id(p)] for p in weights(network)] == [
        "layer_1.linear.linear.weight",
        "output.maps.weight",
    ]


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_they_are_written_down(norm: str) -> None:
    more = {"norm": norm, "dropout": 0.1, "layer_1_residual": True}
    architecture = Architecture("mlp", {**ONE, "members": 3, **more})
    network = FAMILY.build(architecture, CLASSES, Recipe(dropout=0.2)).eval()
    module, text = ModuleType("model"), source(network, architecture, CLASSES)
    exec(compile(text, "model.py", "exec"), vars(module))  # noqa: S102 - text that we wrote
    written = module.build().eval()
    written.load_state_dict(network.state_dict())
    for count in (4, 1, 0):
        x = torch.randn(count, 5)
        assert torch.equal(written(x), network(x))


def test_they_can_be_exported_for_any_number_of_samples() -> None:
    network, free = network_of(3).eval(), ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(network, (torch.randn(6, 5),), dynamic_shapes=free).module()
    for count in (4, 1, 0):
        x = torch.randn(count, 5)
        torch.testing.assert_close(exported(x), network(x))


def test_a_perceptron_of_before_is_one_and_a_linear_map_has_no_members() -> None:
    old, left_open = FAMILY.Settings(), FAMILY.Settings().for_task(CLASSES)
    assert "members" not in {d.name for d in FAMILY.decisions(old, CLASSES)}
    assert as_domain(left_open.members).values() == (1, 16)
    (members,) = [d for d in FAMILY.decisions(left_open, CLASSES) if d.name == "members"]
    assert members.absent == 1 and members.when == (("depth", (1, 2, 3, 4)),)
    one = Architecture("mlp", {**ONE, "members": 1})
    assert FAMILY.canonical(one) == FAMILY.canonical(Architecture("mlp", ONE))
    assert isinstance(network_of(1).output, nn.Linear)


def test_members_share_no_weights_with_other_networks() -> None:
    settings = {"norm": "none", "dropout": 0.0, "members": 4}
    with pytest.raises(InfeasibleError, match="have 1 of the members"):
        supernets["mlp"].check(FAMILY.Settings.model_validate(settings))
