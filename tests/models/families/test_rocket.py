"""Random convolutions over sequences, beside sums over steps in plain Python."""

from __future__ import annotations

import torch

from models.architecture import Architecture
from models.families.rocket import RandomKernels, of_dilations
from models.family import families
from models.recipe import Recipe
from models.task import Task

FAMILY = families["rocket"]


def test_features_are_the_largest_value_and_the_share_above_zero() -> None:
    kernels = RandomKernels(2, 7, {1: 2, 2: 1})
    x = torch.randn(3, 14, 2)
    found = kernels(x)
    columns = [(1, 0, 0), (1, 1, 1), (2, 0, 4)]  # dilation, kernel of it, first of its columns
    for dilation, kernel, column in columns:
        weight = getattr(kernels, f"weight_{dilation}")[kernel]
        bias = getattr(kernels, f"bias_{dilation}")[kernel]
        torch.testing.assert_close(weight.mean(dim=1), torch.zeros(2), atol=1e-6, rtol=0)
        for row, sample in enumerate(x):
            values = []
            for middle in range(14):
                places = [(i, middle + (i - 3) * dilation) for i in range(7)]
                inside = [(i, step) for i, step in places if 0 <= step < 14]
                values.append(bias + sum(weight[:, i] @ sample[step] for i, step in inside))
            every = torch.stack(values)
            share = column + (2 if dilation == 1 else 1)
            torch.testing.assert_close(found[row, column], every.max())
            torch.testing.assert_close(found[row, share], (every > 0).float().mean())


def test_dilations_go_up_to_the_length_of_the_sequence() -> None:
    assert of_dilations(10, 9, 100) == {1: 3, 2: 3, 4: 2, 8: 2}  # 8 * 8 < 100 <= 8 * 16
    assert of_dilations(3, 9, 100) == {1: 1, 2: 1, 4: 1}
    assert of_dilations(5, 11, 4) == {1: 5}


def test_kernels_are_drawn_by_the_seed_and_not_trained() -> None:
    task = Task("sequence_classification", (12, 2), 3)
    network = FAMILY.build(Architecture("rocket", {"kernels": 8, "length": 7}), task, Recipe())
    assert [name for name, _ in network.named_parameters()] == ["output.weight", "output.bias"]
    assert "kernels.weight_1" in network.state_dict()
