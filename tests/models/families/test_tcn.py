"""Temporal convolutions: how far back they look, beside the closed form of the receptive field, and
what they compute, beside sums over steps in plain Python.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.architecture import Architecture
from models.domains import Range, Scalar
from models.families.tcn import CausalBlock
from models.family import families
from models.recipe import Recipe
from models.task import Task

FAMILY = families["tcn"]
SEQUENCE = Task("sequence_classification", (60, 2), 3)


def network(task: Task = SEQUENCE, **values: Scalar) -> Any:
    decisions = {"levels": 2, "width": 4, "kernel": 3, "norm": "none", "dropout": 0.0}
    decisions |= {"readout": "last", **values}
    return FAMILY.build(Architecture("tcn", decisions), task, Recipe())


@pytest.mark.parametrize(("levels", "kernel", "seen"), [(1, 2, 3), (2, 3, 13), (3, 5, 57)])
def test_the_last_step_sees_as_many_steps_as_the_closed_form_says(
    levels: int, kernel: int, seen: int
) -> None:
    """1 + 2 (kernel - 1)(1 + 2 + 4 + ...), by the gradient of what stands after the blocks."""
    net = network(levels=levels, kernel=kernel).double()
    for name, parameter in net.named_parameters():
        if name.endswith("weight"):
            parameter.data.abs_()  # so that no ReLU is shut
    x = torch.rand(1, 60, 2, dtype=torch.double, requires_grad=True)
    net.outputs(x).sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(dim=1).nonzero()
    assert int(reached.min()) == 60 - seen


def test_no_step_sees_a_later_one() -> None:
    blocks = network(levels=3).blocks
    x = torch.randn(2, 2, 60)
    changed = torch.cat([x[:, :, :30], torch.randn(2, 2, 30)], dim=2)
    torch.testing.assert_close(blocks(x)[:, :, :30], blocks(changed)[:, :, :30])


def test_a_block_is_two_convolutions_beside_the_input() -> None:
    block, x = CausalBlock(2, 3, 3, dilation=2), torch.randn(1, 2, 9)

    def convolved(seen: Tensor, convolution: Any) -> Tensor:
        columns = []
        for step in range(9):
            places = [step - 4, step - 2, step]  # before the first there are zeros
            inside = [(tap, place) for tap, place in enumerate(places) if place >= 0]
            found = [convolution.weight[:, :, tap] @ seen[:, place] for tap, place in inside]
            columns.append(convolution.bias + torch.stack(found).sum(dim=0))
        return torch.stack(columns, dim=1)

    hidden = convolved(x[0], block.convolution_1).relu()
    hidden = convolved(hidden, block.convolution_2).relu()
    linear: Any = block.shortcut
    beside = linear.weight[:, :, 0] @ x[0] + linear.bias[:, None]
    torch.testing.assert_close(block(x)[0], (hidden + beside).relu())


def test_a_sequence_is_read_at_its_last_step_or_by_the_mean_of_all() -> None:
    x = torch.randn(3, 60, 2)
    for readout, read in (("last", lambda s: s[:, :, -1]), ("mean", lambda s: s.mean(dim=2))):
        net = network(readout=readout)
        torch.testing.assert_close(net(x), net.output(read(net.blocks(x.transpose(1, 2)))))


@pytest.mark.parametrize(("steps", "levels"), [(4, 2), (12, 2), (13, 2), (14, 3), (96, 5)])
def test_levels_that_are_left_open_see_a_whole_sample_and_no_farther(
    steps: int, levels: int
) -> None:
    """With three steps a convolution two levels see 13 steps, three 29, four 61, five 125."""
    task = Task("sequence_classification", (steps, 2), 3)
    assert FAMILY.Settings().for_task(task).model_dump()["levels"] == Range(1, levels).to_json()
    asked = FAMILY.Settings.model_validate({"levels": 7})
    assert asked.for_task(task) is asked
