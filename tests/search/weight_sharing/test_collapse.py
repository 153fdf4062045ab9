"""The guard against collapse: its signals against dense computation, its rules by hand."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture
from models.families.cnn_cell import CnnCellSettings
from models.family import families
from models.supernets import Supernet, supernets
from models.task import Task
from search.space import SearchSpace
from search.weight_sharing.collapse import (
    GuardSettings,
    Sign,
    Vitals,
    row_entropies,
    sign_of_collapse,
    skip_share,
)
from search.weight_sharing.curvature import largest_eigenvalue

TASK = Task("image_classification", (1, 6, 6), 3)


def supernet_of(**settings: object) -> Supernet:
    torch.manual_seed(0)
    small = CnnCellSettings.model_validate({"cells": 2, "channels": 2, "nodes": 2, **settings})
    return supernets["cnn_cell"].build(small, TASK).double()


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_the_eigenvalue_is_that_of_the_dense_hessian(topology: str) -> None:
    supernet = supernet_of(topology=topology, cells=1, nodes=2 if topology == "darts" else 3)
    torch.manual_seed(1)
    x, y = torch.randn(8, 1, 6, 6, dtype=torch.double), torch.randint(3, (8,))
    alphas = {
        name: nn.Parameter(torch.randn(len(group.rows), len(group.options)).double())
        for name, group in supernet.groups.items()
    }

    def loss(*values: Tensor) -> Tensor:
        mix = {name: value.softmax(dim=1) for name, value in zip(alphas, values, strict=True)}
        return functional.cross_entropy(supernet(x, mix), y)

    parameters = tuple(alphas.values())
    shape = parameters[0].shape
    dense = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]  # torch's own
        lambda value: loss(value.view(shape)), parameters[0].detach().flatten()
    )
    values, vectors = torch.linalg.eigh(dense)
    found = largest_eigenvalue(
        lambda: loss(*parameters), parameters, max_products=2000, tolerance=1e-12
    )
    assert found.value == pytest.approx(values[-1].item(), rel=1e-6)
    assert abs(torch.dot(found.vector, vectors[:, -1])) == pytest.approx(1, abs=1e-3)
    rough = largest_eigenvalue(lambda: loss(*parameters), parameters)
    assert rough.value == pytest.approx(values[-1].item(), rel=0.1)
    again = largest_eigenvalue(
        lambda: loss(*parameters), parameters, found.vector, max_products=2, tolerance=0
    )
    assert again.value == pytest.approx(values[-1].item(), rel=1e-6)


def test_the_largest_eigenvalue_is_found_beside_a_negative_one_of_larger_size() -> None:
    point = nn.Parameter(torch.zeros(3, dtype=torch.double))
    bends = torch.tensor([-5.0, 2.0, 0.5], dtype=torch.double)
    found = largest_eigenvalue(
        lambda: (bends * point.square()).sum() / 2, [point], max_products=1000, tolerance=1e-12
    )
    assert found.value == pytest.approx(2.0)
    assert abs(found.vector[1].item()) == pytest.approx(1, abs=1e-4)


def test_skips_are_counted_among_what_an_architecture_chooses() -> None:
    settings = CnnCellSettings.model_validate({"topology": "nasbench201", "nodes": 4})
    supernet = supernets["cnn_cell"].build(settings, TASK)
    decisions = families["cnn_cell"].decisions(settings, TASK)
    space = SearchSpace("cnn_cell", decisions, families["cnn_cell"].canonical)
    rng = Random(0)
    for _ in range(20):
        chosen = space.sample(rng).architecture
        names = [value for name, value in chosen.decisions.items() if name.startswith("edge_")]
        assert skip_share(supernet, chosen) == names.count("skip_connect") / 6
    without = CnnCellSettings.model_validate(
        {"topology": "nasbench201", "operations": ["none", "nor_conv_1x1"]}
    )
    built = supernets["cnn_cell"].build(without, TASK)
    mix = {name: torch.eye(2)[[1] * len(group.rows)] for name, group in built.groups.items()}
    derived: Architecture = built.derive(mix)
    assert skip_share(built, derived) is None


def test_entropy_is_a_share_of_the_largest_possible() -> None:
    supernet = supernet_of(topology="nasbench201", nodes=3)
    (name, group), *_ = supernet.groups.items()
    options = len(group.options)
    mix = torch.full((3, options), 1 / options, dtype=torch.double)
    mix[1] = torch.eye(options, dtype=torch.double)[0]
    mix[2] = 0
    mix[2, :2] = 3.0  # as of edge weights: shares count
    found = row_entropies(supernet, {name: mix})
    assert list(found) == [f"{name} {row}" for row in group.rows]
    assert list(found.values()) == pytest.approx([1, 0, math.log(2) / math.log(options)])


def history(skips: list[float], eigenvalues: dict[int, float] | None = None) -> list[Vitals]:
    return [
        Vitals(epoch, 0.9, share, (eigenvalues or {}).get(epoch))
        for epoch, share in enumerate(skips, start=1)
    ]


GUARD = GuardSettings(warmup_share=0.2, patience=2, every=1, window=2)


def test_more_skips_than_the_limit_are_a_sign_once_they_stay() -> None:
    assert sign_of_collapse(history([0.2, 0.4, 0.5, 0.6]), GUARD, 10) is None  # not twice yet
    assert sign_of_collapse(history([0.2, 0.4, 0.6, 0.5, 0.6]), GUARD, 10) is None
    found = sign_of_collapse(history([0.2, 0.4, 0.5, 0.6, 0.8]), GUARD, 10)
    assert found == Sign("skip_share", 0.8, healthy=3)
    assert sign_of_collapse(history([1.0, 1.0]), GUARD, 10) is None  # warm-up
    assert sign_of_collapse(history([1.0, 1.0, 1.0]), GUARD, 10) == Sign("skip_share", 1.0, 0)


def test_a_mix_that_has_decided_is_a_sign() -> None:
    decided = [Vitals(epoch, 0.5 / epoch**2) for epoch in range(1, 6)]
    assert sign_of_collapse(decided[:4], GUARD, 10) is None
    assert sign_of_collapse(decided, GUARD, 10) == Sign("entropy", 0.02, healthy=3)


def test_a_growing_eigenvalue_is_a_sign_at_the_ratio_of_the_paper() -> None:
    grown = {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.6}  # 1.0 / 1.3 is above 0.75
    assert sign_of_collapse(history([0.0] * 4, grown), GUARD, 10) is None
    grown |= {5: 1.8}  # 1.0 / 1.7, and the average before is that of epochs 2 and 3
    found = sign_of_collapse(history([0.0] * 5, grown), GUARD, 10)
    assert found is not None and found.signal == "hessian_eigenvalue" and found.healthy == 3
    assert found.value == pytest.approx(1 / 1.7)
    assert sign_of_collapse(history([0.0] * 6, grown), GUARD, 10) is None  # not measured anew
    shrunk = {epoch: -1.0 + 0.5 * epoch for epoch in range(1, 5)}  # no scale: -0.25 before
    assert sign_of_collapse(history([0.0] * 4, shrunk), GUARD, 10) is None
