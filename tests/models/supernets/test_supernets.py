"""Supernets against one module per operation per edge, and against the plain networks in them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from torch import Tensor

from models.architecture import Architecture
from models.families.cnn_cell import CnnCellSettings
from models.family import InfeasibleError, families
from models.recipe import Recipe, TrainingSettings
from models.supernets import Mix, Supernet, supernets
from models.task import Task
from search.space import SearchSpace

TASK = Task("image_classification", (2, 9, 9), 3)
SETTINGS = {
    "darts": CnnCellSettings(topology="darts", channels=4, cells=3, nodes=2),
    "nasbench201": CnnCellSettings.model_validate(
        {"topology": "nasbench201", "channels": 4, "cells": 1, "nodes": 3}
    ),
}
FRAMED = {
    f"{name} in a frame": settings.model_copy(update={"stem_stride": 2, "head_pool": 2})
    for name, settings in SETTINGS.items()
}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "supernet.py"
    spec = importlib.util.spec_from_file_location("supernet_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def supernet(settings: CnnCellSettings, partial: int = 1) -> Supernet:
    torch.manual_seed(0)
    return supernets["cnn_cell"].build(settings, TASK, partial=partial).double()


def images() -> Tensor:
    torch.manual_seed(1)
    x = torch.randn(6, *TASK.input_shape, dtype=torch.double)
    return x.contiguous(memory_format=torch.channels_last)


def softmax(alphas: Mix) -> Mix:
    return {name: alpha.softmax(dim=1) for name, alpha in alphas.items()}


def alphas_of(network: Supernet) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return {
        name: torch.randn(len(group.rows), len(group.options), dtype=torch.double).requires_grad_()
        for name, group in network.groups.items()
    }


@pytest.mark.parametrize("partial", [1, 2])
@pytest.mark.parametrize("topology", SETTINGS)
def test_the_fused_supernet_is_the_plain_one(
    benchmark: ModuleType, topology: str, partial: int
) -> None:
    """Outputs, gradients of images and alphas; and of all weights, by a step of size 1 along them,
    with the running statistics.
    """
    fused = supernet(SETTINGS[topology], partial)
    plain = benchmark.straightforward(fused)
    found = []
    for network, x in ((fused, images()), (plain, images().contiguous())):
        x.requires_grad_()
        alphas = alphas_of(network)
        outputs = network(x, softmax(alphas))
        outputs.square().sum().backward()
        torch.optim.SGD(network.parameters(), lr=1.0).step()
        gradients = {name: alpha.grad for name, alpha in alphas.items()}
        found.append((outputs, x.grad, gradients, dict(shared_weights(network))))
    assert found[1][3].keys() == found[0][3].keys()
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        mix = softmax(alphas_of(fused))
        outputs = [network.eval()(images(), mix) for network in (fused, plain)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)


def shared_weights(network: Supernet) -> Iterator[tuple[str, Tensor]]:
    """Weights and statistics of a supernet of either kind."""
    for path, module in network.named_modules():
        if hasattr(module, "state_of") and hasattr(module, "rows"):
            for edge, row in module.rows.items():
                for option in module.names:
                    for name, value in module.state_of(edge, option).items():
                        if not name.endswith("num_batches_tracked"):
                            yield f"{path}.{row}.{option}.{name}", value
    for name, value in network.state_dict().items():
        if not any(part in name for part in ("joined", "edges", "num_batches_tracked")):
            yield name, value


@pytest.mark.parametrize(
    "settings", [*SETTINGS.values(), *FRAMED.values()], ids=[*SETTINGS, *FRAMED]
)
def test_a_subnet_is_the_plain_network_with_its_weights(settings: CnnCellSettings) -> None:
    """In training and in evaluation, whatever is zero or unused."""
    network, family = supernet(settings), families["cnn_cell"]
    space = SearchSpace.of_family("cnn_cell", family, settings, TrainingSettings(), TASK)
    seen = 0
    for seed in range(16):
        architecture = space.sample(Random(seed)).architecture
        mix = network.mix_of(architecture)
        try:
            plain = family.build(architecture, TASK, Recipe()).double()
        except InfeasibleError:
            continue
        network.train()(images(), mix)  # so that the statistics are not those of a fresh network
        plain.load_state_dict(network.weights_of(architecture))
        for mode in (False, True):
            outputs = [network.train(mode)(images(), mix), plain.train(mode)(images())]
            torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
        seen += 1
    assert seen >= 8


@pytest.mark.parametrize(
    "settings", [*SETTINGS.values(), *FRAMED.values()], ids=[*SETTINGS, *FRAMED]
)
def test_what_is_derived_from_the_mix_of_an_architecture_is_that_architecture(
    settings: CnnCellSettings,
) -> None:
    network = supernet(settings)
    names = [name for name in settings.operations if name != "none"]
    settings = settings.model_copy(update={"operations": tuple(names)})
    space = SearchSpace.of_family(
        "cnn_cell", families["cnn_cell"], settings, TrainingSettings(), TASK
    )
    for seed in range(10):
        architecture = space.sample(Random(seed)).architecture
        assert network.derive(network.mix_of(architecture)) == architecture


def test_darts_keeps_the_two_strongest_edges_of_a_node_and_never_none() -> None:
    network = supernet(SETTINGS["darts"])
    mix = {name: torch.full((5, 8), 0.01) for name in network.groups}
    none, skip, separable = (
        network.names.index(n) for n in ("none", "skip_connect", "sep_conv_3x3")
    )
    edges = {name: row for row, name in enumerate(network.groups["normal"].rows)}
    mix["normal"][:, none] = 0.9
    mix["normal"][edges["0-3"], skip] = 0.05
    mix["normal"][edges["2-3"], separable] = 0.06
    decisions = network.derive(mix).decisions
    assert decisions["normal_node_3_inputs"] == "0-2"
    assert decisions["normal_node_3_first"] == "skip_connect"
    assert decisions["normal_node_3_second"] == "sep_conv_3x3"


def test_an_operation_of_weight_zero_is_not_computed_and_gets_no_gradient() -> None:
    network = supernet(SETTINGS["darts"])
    alphas = {name: torch.zeros(5, 8, dtype=torch.double) for name in network.groups}
    for alpha in alphas.values():
        alpha[:, network.names.index("sep_conv_3x3")] = 1
        alpha.requires_grad_()
    network(images(), alphas).square().sum().backward()
    for alpha in alphas.values():
        others = [c for c, name in enumerate(network.names) if name != "sep_conv_3x3"]
        assert not alpha.grad[:, others].any()
    used = {name for name, p in network.named_parameters() if p.grad is not None}
    assert any("sep_conv_3x3" in name for name in used)
    assert not any("sep_conv_5x5" in name or "dil_conv" in name for name in used)


def test_channels_pass_by_a_node_without_operations(benchmark: ModuleType) -> None:
    """Of PC-DARTS; a row of `none` alone lets its share of the channels through."""
    fused = supernet(SETTINGS["nasbench201"], partial=2)
    mix = {"cell": torch.zeros(3, 5, dtype=torch.double)}
    mix["cell"][:, fused.groups["cell"].options.index("none")] = 1
    plain = benchmark.straightforward(fused)
    torch.testing.assert_close(fused(images(), mix), plain(images(), mix), rtol=1e-9, atol=1e-9)


def test_a_space_of_several_widths_cannot_share_weights() -> None:
    settings = CnnCellSettings.model_validate({"channels": {"choice": [4, 8]}})
    with pytest.raises(InfeasibleError, match=r"one value of channels.*\[4, 8\]") as caught:
        supernets["cnn_cell"].check(settings)
    assert caught.value.field == "channels"
    with pytest.raises(InfeasibleError, match="multiple of 3, got 4"):
        supernets["cnn_cell"].build(SETTINGS["darts"], TASK, partial=3)


def test_weights_of_another_shape_of_network_are_refused() -> None:
    network = supernet(SETTINGS["darts"])
    architecture = network.derive(softmax(alphas_of(network)))
    wider = Architecture("cnn_cell", {**architecture.decisions, "channels": 8})
    with pytest.raises(ValueError, match="channels of this supernet is 4, got 8"):
        network.weights_of(wider)


@pytest.mark.parametrize("topology", SETTINGS)
def test_options_that_skip_are_named(topology: str) -> None:
    assert {group.skips for group in supernet(SETTINGS[topology]).groups.values()} == {
        ("skip_connect",)
    }


@pytest.mark.parametrize("topology", SETTINGS)
def test_what_is_computed_again_has_the_same_gradients_and_statistics(topology: str) -> None:
    found = []
    for recomputes in (False, True):
        network = supernet(SETTINGS[topology])
        alphas, kept = alphas_of(network), list[int]()
        network.recomputes = recomputes

        def keep(x: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = network(images(), softmax(alphas)).square().mean()
        torch.autograd.backward(loss)
        slopes = [p.grad for p in (*network.parameters(), *alphas.values())]
        found.append((loss, slopes, list(network.buffers()), sum(kept)))
    (plain, again) = found
    assert torch.equal(plain[0], again[0])
    for one, other in ((plain[1], again[1]), (plain[2], again[2])):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert left is not None and right is not None
            assert torch.equal(left, right)
    assert again[3] < plain[3] / 2
