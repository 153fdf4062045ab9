from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from torch import nn

from models.architecture import Architecture
from models.domains import Scalar
from models.exporters.source import source
from models.family import InfeasibleError, families
from models.operations.blocks import SqueezeExcite
from models.recipe import Recipe
from models.task import Task
from tests.models.support.sampling import draw

FAMILY = families["cnn_stages"]
TASK = Task("image_classification", (3, 16, 16), 5)


def stages(*given: dict[str, Scalar], **network: Scalar) -> Architecture:
    values: dict[str, Scalar] = {"norm": "batch", "head_pool": 1, "head_layers": 0, **network}
    values["stages"] = len(given)
    for number, stage in enumerate(given, 1):
        whole: dict[str, Scalar] = {
            "block": "conv",
            "width": 8,
            "depth": 1,
            "kernel": 3,
            "stride": 1,
            "activation": "relu",
            "pool": "none",
            **stage,
        }
        if whole["block"] == "conv":
            whole.setdefault("padding", "same")
        else:
            whole.setdefault("squeeze_excite", 0.0)
        if whole["block"] in ("bottleneck", "inverted_residual"):
            whole.setdefault("expansion", 2)
        values |= {f"stage_{number}_{name}": value for name, value in whole.items()}
    return Architecture("cnn_stages", values)


def count(architecture: Architecture, **recipe: bool) -> int:
    network = FAMILY.build(architecture, TASK, Recipe.model_validate(recipe))
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("block", "weights"),
    [
        ({"block": "conv"}, 9 * 8 * 12),
        ({"block": "residual"}, 9 * 8 * 12 + 9 * 12 * 12 + 8 * 12),
        ({"block": "bottleneck", "expansion": 3}, 8 * 4 + 9 * 4 * 4 + 4 * 12 + 8 * 12),
        ({"block": "inverted_residual", "expansion": 3}, 8 * 24 + 9 * 24 + 24 * 12),
        ({"block": "inverted_residual", "expansion": 1}, 9 * 8 + 8 * 12),
        ({"block": "depthwise"}, 9 * 8 + 8 * 12),
    ],
)
def test_a_block_has_the_weights_of_its_paper(block: dict[str, Scalar], weights: int) -> None:
    stem: dict[str, Scalar] = {"width": 8}
    network = FAMILY.build(stages(stem, {**block, "width": 12}), TASK, Recipe())
    found = {n: p.numel() for n, p in network.named_parameters() if n.startswith("stage_2.")}
    assert sum(size for name, size in found.items() if network.get_parameter(name).dim() > 1) == (
        weights
    )


def test_a_squeeze_scales_channels_by_their_means() -> None:
    module = SqueezeExcite(6, 2, nn.ReLU)
    x = torch.randn(3, 6, 4, 5)
    hidden = torch.relu(
        x.mean(dim=(2, 3)) @ module.squeeze.weight[..., 0, 0].T + module.squeeze.bias
    )
    scale = torch.sigmoid(hidden @ module.excite.weight[..., 0, 0].T + module.excite.bias)
    torch.testing.assert_close(module(x), x * scale[:, :, None, None])


def test_a_row_of_blocks_is_one_architecture_however_it_is_cut() -> None:
    wide: dict[str, Scalar] = {"block": "residual", "width": 16, "stride": 2}
    same: dict[str, Scalar] = {"block": "residual", "width": 16}
    one, other = stages({}, {**wide, "depth": 3}), stages({}, wide, {**same, "depth": 2})
    assert FAMILY.canonical(one).key == FAMILY.canonical(other).key
    assert count(one) == count(other)
    states = [FAMILY.build(a, TASK, Recipe()).state_dict() for a in (one, other)]
    assert [v.shape for v in states[0].values()] == [v.shape for v in states[1].values()]
    for different in (
        stages({}, {**wide, "depth": 2}),
        stages({}, wide, {**same, "stride": 2, "depth": 2}),
        stages({"pool": "max_2"}, {**wide, "depth": 3, "stride": 1}),
        stages({}, {**wide, "depth": 3}, norm="none"),
    ):
        assert FAMILY.canonical(different).key != FAMILY.canonical(one).key
    pointwise = [stages({"kernel": 1, "padding": padding}) for padding in ("same", "valid")]
    assert len({FAMILY.canonical(a).key for a in pointwise}) == 1


@pytest.mark.parametrize(
    ("architecture", "field", "message"),
    [
        (
            stages(*[{"stride": 4}] * 2, {"stride": 2}),
            "stage_3_stride",
            "a stride of 2 needs at least 2 pixels a side, got 1x1",
        ),
        (
            stages({"kernel": 11, "padding": "valid"}, {"kernel": 7, "padding": "valid"}),
            "stage_2_kernel",
            "a kernel of 7 without padding needs at least 7 .* got 6x6",
        ),
        (stages(*[{"pool": "max_2"}] * 5), "stage_5_pool", "max_2 needs at least 2 .* got 1x1"),
        (stages({"stride": 4}, head_pool=5), "head_pool", "head_pool 5 needs .* got 4x4"),
        (stages({"block": "bottleneck", "expansion": 3}), "stage_1_expansion", "3 and width 8"),
        (stages({"kernel": 4}), "stage_1_kernel", "must be odd, got 4"),
        (stages({"block": "dense"}), "stage_1_block", "one of conv, .* got 'dense'"),
        (stages({}, head_layers=1), "head_1_width", "positive integer, got None"),
    ],
)
def test_decisions_that_make_no_network_are_refused(
    architecture: Architecture, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        FAMILY.build(architecture, TASK, Recipe())
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"stages": 6, "stride": 2}, "stride"),
        ({"stages": {"low": 5, "high": 6}, "pool": {"choice": ["max_2", "max_3"]}}, "pool"),
        ({"block": "conv", "padding": "valid", "kernel": 9, "stages": 3}, "kernel"),
        ({"stages": 2, "stride": 2, "head_pool": 8}, "head_pool"),
    ],
)
def test_settings_of_which_no_network_fits_the_image_are_refused(
    settings: dict[str, object], field: str
) -> None:
    with pytest.raises(InfeasibleError, match="pixels a side") as caught:
        FAMILY.decisions(FAMILY.Settings.model_validate(settings), TASK)
    assert caught.value.field == field


def test_the_text_is_formatted_and_fits_the_lines(tmp_path: Path) -> None:
    settings = FAMILY.Settings.model_validate(
        {
            "pool": {"choice": ["none", "max_2", "max_3_padded"]},
            "depth": {"low": 1, "high": 5},
            "head_layers": {"low": 0, "high": 2},
            "padding": {"choice": ["same", "valid"]},
        }
    )
    decisions, rng, written = FAMILY.decisions(settings, TASK), Random(0), 0
    while written < 12:
        architecture = draw("cnn_stages", decisions, rng)
        recipe = Recipe(dropout=rng.choice((0.0, 0.25)), batch_norm=rng.random() < 0.7)
        try:
            network = FAMILY.build(architecture, TASK, recipe)
        except InfeasibleError:
            continue
        (tmp_path / f"model_{written}.py").write_text(source(network, architecture, TASK))
        written += 1
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        [*ruff, "check", "--isolated", "."],
        [*ruff, "format", "--isolated", "--check", "--line-length", "100", "."],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("side", "said", "pools"),
    [
        (8, {}, {"choice": [1, 2]}),  # two stages of stride 2 leave 2 pixels
        (28, {}, {"choice": [1, 2, 4]}),
        (28, {"stages": 3, "pool": "max_2"}, 1),  # three times a quarter
        (28, {"head_pool": 1}, 1),
    ],
)
def test_a_grid_that_is_left_open_suits_the_image(
    side: int, said: dict[str, Scalar], pools: object
) -> None:
    task = Task("image_classification", (1, side, side), 10)
    left_open = FAMILY.Settings.model_validate(said)
    filled = left_open.for_task(task).model_dump(mode="json")
    assert filled == {**left_open.model_dump(mode="json"), "head_pool": pools}
