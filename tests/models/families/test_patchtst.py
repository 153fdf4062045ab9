"""Patches of each series by itself, beside slices in plain Python and the sizes of the paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.architecture import Architecture
from models.domains import Choice, Scalar
from models.families.patchtst import SeriesPatches
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task

FAMILY = families["patchtst"]
TASK = Task("forecasting", (12, 3), 8, targets=(0, 2))


def network(task: Task = TASK, **values: Scalar) -> Any:
    decisions = {"patch": 4, "layers": 2, "width": 8, "heads": 2, "feed_forward": 2}
    decisions |= {"dropout": 0.0, "relative": False, **values}
    return FAMILY.build(Architecture("patchtst", decisions), task, Recipe()).eval()


@pytest.mark.parametrize(("steps", "size"), [(12, 4), (13, 4), (11, 5)])
def test_patches_overlap_by_half_and_the_last_value_is_repeated(steps: int, size: int) -> None:
    stride = (size + 1) // 2
    patches, x = SeriesPatches(size, stride, 6), torch.randn(2, steps, 3)
    expected = []
    for sample in x:
        for series in sample.unbind(dim=1):
            values = [*series.tolist(), *[series[-1].item()] * stride]
            starts = range(0, len(values) - size + 1, stride)
            expected.append(torch.tensor([values[start : start + size] for start in starts]))
    seen = torch.stack(expected)
    torch.testing.assert_close(patches(x), seen @ patches.linear.weight.T + patches.linear.bias)


@pytest.mark.parametrize(("steps", "patches"), [(336, 42), (512, 64)])
def test_a_window_has_as_many_patches_as_in_the_paper(steps: int, patches: int) -> None:
    """PatchTST/42 and PatchTST/64, patches of 16 steps, 8 apart."""
    net = network(Task("forecasting", (steps, 1), 4, targets=(0,)), patch=16)
    assert net.positions.weight.shape == (patches, 8)


def test_a_forecast_is_of_its_own_series_alone() -> None:
    net, x = network(), torch.randn(4, 12, 3)
    by_step = net(x).reshape(4, 4, 2)
    changed = x.clone()
    changed[:, :, 2] = torch.randn(4, 12)
    changed[:, :, 1] = torch.randn(4, 12)
    torch.testing.assert_close(net(changed).reshape(4, 4, 2)[..., 0], by_step[..., 0])
    swapped = net(x[:, :, [2, 1, 0]]).reshape(4, 4, 2)
    torch.testing.assert_close(swapped, by_step[..., [1, 0]])


def test_columns_known_in_advance_are_added_by_a_map_of_their_own() -> None:
    led = network(Task("forecasting", (12, 3), 4, targets=(0,), known=(1, 2)))
    x = torch.randn(4, 12, 3)
    found, without = led(x), x.clone()
    without[:, :, 1:] = 0
    beside = x[:, -4:, 1:].flatten(1) @ led.of_known.weight.T
    torch.testing.assert_close(found, led(without) + beside)


def test_a_patch_has_room_in_the_window() -> None:
    (patch, *_) = FAMILY.decisions(FAMILY.Settings(), TASK)
    assert patch.domain == Choice((4, 8))
    asked = FAMILY.Settings.model_validate({"patch": 16})
    with pytest.raises(InfeasibleError, match="no more than the window, which has 12, got 16"):
        FAMILY.decisions(asked, TASK)
    with pytest.raises(InfeasibleError, match="got 16") as caught:
        network(patch=16)
    assert caught.value.field == "patch"
    with pytest.raises(InfeasibleError, match="divide the width, got 3 heads and width 8"):
        network(heads=3)
    with pytest.raises(InfeasibleError, match="columns of its input"):
        network(Task("forecasting", (12, 3), 4))
