"""Linear maps of a window, beside the same in plain tensors and by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.architecture import Architecture
from models.datasets.series import forecasting
from models.domains import Choice, Scalar
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import build
from models.training.trainer import train

FAMILY = families["linear"]
TASK = Task("forecasting", (12, 3), 8, targets=(0, 2))


def network(task: Task = TASK, **values: Scalar) -> Any:
    decisions = {"trend": 0, "inputs": "own", "shared": True, "relative": False, **values}
    return FAMILY.build(Architecture("linear", decisions), task, Recipe())


def by_series(x: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Each series through its own weights and bias, steps before series, as a forecast is."""
    found = [x[:, :, n] @ weight.T + bias for n, (weight, bias) in enumerate(maps)]
    return torch.stack(found, dim=2).flatten(1)


@pytest.mark.parametrize("shared", [True, False])
def test_each_series_is_mapped_by_itself(shared: bool) -> None:
    net, x = network(shared=shared), torch.randn(5, 12, 3)
    weight, bias = net.output.maps.weight[:, 0], net.output.maps.bias
    maps = [(weight[:4], bias[:4]), (weight[-4:], bias[-4:])]
    torch.testing.assert_close(net(x), by_series(x[:, :, [0, 2]], maps))
    assert sum(p.numel() for p in net.parameters()) == (1 if shared else 2) * 13 * 4


def test_a_trend_is_a_moving_average_whose_ends_are_repeated() -> None:
    net, x = network(trend=5), torch.randn(3, 12, 3)
    seen = x[:, :, [0, 2]].detach().numpy()
    padded = np.pad(seen, ((0, 0), (2, 2), (0, 0)), mode="edge")
    trend = torch.tensor(np.stack([padded[:, t : t + 5].mean(axis=1) for t in range(12)], axis=1))
    seasonal = torch.tensor(seen) - trend
    found = 0
    for layer, part in ((net.output, seasonal), (net.of_trend, trend)):
        maps = [(layer.maps.weight[:, 0], layer.maps.bias)] * 2
        found = found + by_series(part, maps)
    torch.testing.assert_close(net(x), found)


def test_all_columns_may_be_seen_and_those_known_in_advance_have_a_map_of_their_own() -> None:
    x = torch.randn(4, 12, 3)
    whole = network(inputs="all")
    (_, linear) = whole.output
    torch.testing.assert_close(whole(x), x.flatten(1) @ linear.weight.T + linear.bias)
    led = network(Task("forecasting", (12, 3), 4, targets=(0,), known=(1, 2)))
    maps = [(led.output.maps.weight[:, 0], led.output.maps.bias)]
    known = x[:, -4:, 1:].flatten(1) @ led.of_known.weight.T
    torch.testing.assert_close(led(x), by_series(x[:, :, :1], maps) + known)


def test_training_finds_the_least_squares() -> None:
    """Of a noisy autoregression, on differences to the last step: NLinear."""
    rng, values = np.random.default_rng(0), [0.0, 0.0]
    for _ in range(250):
        values.append(1.5 * values[-1] - 0.7 * values[-2] + rng.normal())
    dataset = forecasting("ar", np.array(values)[:, None], ["y"], ["y"], window=6, horizon=2)
    architecture = Architecture("linear", {"trend": 0, "inputs": "own", "relative": True})
    recipe = Recipe(epochs=25, batch_size=16, optimizer="adam", learning_rate=0.03)
    net = build(architecture, dataset.task, recipe, 0)
    *_, last = train(net, dataset, recipe, seed=0)

    def differences(x: Tensor) -> Tensor:
        return torch.cat([x[:, :-1, 0] - x[:, -1], torch.ones(len(x), 1)], dim=1)

    x, y = dataset.train.x, dataset.train.y
    assert isinstance(x, Tensor) and isinstance(dataset.validation.x, Tensor)
    weights = torch.linalg.lstsq(differences(x), y - x[:, -1]).solution
    held_out = dataset.validation.x
    best = differences(held_out) @ weights + held_out[:, -1] - dataset.validation.y
    assert last["val_mse"] < 1.05 * best.square().mean().item()


def test_what_decides_nothing_is_not_decided() -> None:
    def names(task: Task, **settings: Any) -> list[str]:
        return [d.name for d in FAMILY.decisions(FAMILY.Settings.model_validate(settings), task)]

    whole = ["trend", "inputs", "shared", "window_scaling", "relative"]
    assert names(TASK) == whole
    one = Task("forecasting", (12, 3), 4, targets=(1,))
    assert names(one) == ["trend", "inputs", "window_scaling", "relative"]
    assert "shared" not in names(TASK, inputs="all")
    assert names(Task("sequence_classification", (12, 3), 2)) == ["trend"]
    assert FAMILY.Settings().inputs == Choice(("own", "all"))
    with pytest.raises(InfeasibleError, match="targets are columns of the input"):
        network(Task("forecasting", (12, 3), 4))
