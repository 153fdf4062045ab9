"""Forecasts of windows less their level, or scaled by themselves, in both families of series."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.architecture import Architecture
from models.datasets import Dataset, series
from models.domains import Choice, Scalar
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task
from models.training.trainer import evaluate, train

TASK = Task("forecasting", (9, 4), 6, targets=(3, 1))
VALUES: dict[str, dict[str, Scalar]] = {
    "rnn": {"cell": "gru", "layers": 1, "hidden": 5, "direction": "forward"},
    "transformer": {
        "layers": 1,
        "width": 8,
        "heads": 2,
        "feed_forward": 2,
        "activation": "gelu",
        "norm": "pre",
        "positions": "learned",
        "readout": "token",
        "dropout": 0.0,
        "layer_1_mixer": "attention",
    },
}


def network(family: str, relative: bool, task: Task = TASK, scaling: str = "none") -> nn.Module:
    torch.manual_seed(0)
    values = {**VALUES[family], "relative": relative, "window_scaling": scaling}
    architecture = Architecture(family, values)
    return families[family].build(architecture, task, Recipe()).double()


@pytest.mark.parametrize("family", VALUES)
def test_a_relative_forecast_is_that_of_differences_and_the_last_values(family: str) -> None:
    x = torch.randn(5, 9, 4, dtype=torch.double)
    found = network(family, relative=True)(x).view(5, 3, 2)
    plain = network(family, relative=False)(x - x[:, 8:9]).view(5, 3, 2)
    for step in range(3):
        for place, column in enumerate(TASK.targets or ()):
            expected = plain[:, step, place] + x[:, 8, column]
            torch.testing.assert_close(found[:, step, place], expected)


@pytest.mark.parametrize("scaling", ["mean", "last"])
@pytest.mark.parametrize("family", VALUES)
def test_a_scaled_window_is_as_in_the_paper_and_what_is_known_stays(
    family: str, scaling: str
) -> None:
    """Equations 1 to 3 by numpy, for each window and column in turn."""
    task = replace(TASK, known=(0, 2))
    x = torch.randn(5, 9, 4, dtype=torch.double) * 3 + 7
    found = network(family, False, task, scaling)(x).view(5, 3, 2)
    seen, level, deviation = x.numpy().copy(), np.zeros((5, 4)), np.ones((5, 4))
    for sample in range(5):
        for column in (1, 3):
            window = x[sample, :, column].numpy()
            level[sample, column] = window.mean() if scaling == "mean" else window[-1]
            deviation[sample, column] = np.sqrt(((window - window.mean()) ** 2).mean() + 1e-5)
            seen[sample, :, column] = (window - level[sample, column]) / deviation[sample, column]
    plain = network(family, False, task)(torch.from_numpy(seen)).view(5, 3, 2)
    for place, column in enumerate(TASK.targets or ()):
        back = plain[:, :, place].detach().numpy() * deviation[:, [column]] + level[:, [column]]
        np.testing.assert_allclose(found[:, :, place].detach().numpy(), back, atol=1e-12)
    relative = network(family, True, task)(x)
    seen = x.numpy().copy()
    seen[:, :, [1, 3]] -= seen[:, -1:, [1, 3]]
    plain = network(family, False, task)(torch.from_numpy(seen)) + x[:, -1, [3, 1]].repeat(1, 3)
    torch.testing.assert_close(relative, plain)


@pytest.mark.parametrize("family", VALUES)
def test_scaled_windows_do_not_tell_the_unit_of_a_series(family: str) -> None:
    """A forecast of 100 times the window, and 1000 more, is that of the window, so changed."""
    x = torch.randn(5, 9, 4, dtype=torch.double) * 3
    for scaling in ("mean", "last"):
        scaled = network(family, False, TASK, scaling)
        torch.testing.assert_close(
            scaled(x * 100 + 1000), scaled(x) * 100 + 1000, rtol=1e-5, atol=0.01
        )


@pytest.mark.parametrize("family", VALUES)
def test_scaling_is_decided_where_it_is_asked_for_alone(family: str) -> None:
    entry = families[family]

    def names(scaling: Any) -> dict[str, Any]:
        settings = entry.Settings.model_validate({"family": family, "window_scaling": scaling})
        return {decision.name: decision for decision in entry.decisions(settings, TASK)}

    assert "window_scaling" not in names("none") and "relative" in names("none")
    searched = names({"choice": ["none", "mean"]})
    assert searched["window_scaling"].domain == Choice(("none", "mean"))
    assert searched["relative"].when == (("window_scaling", ("none",)),)
    assert "window_scaling" in names("last") and "relative" not in names("last")
    with pytest.raises(InfeasibleError, match="window_scaling is for forecasts whose targets"):
        network(family, False, Task("forecasting", (9, 4), 6), "mean")
    canonical = entry.canonical
    plain = Architecture(family, VALUES[family])
    stated = Architecture(family, {**VALUES[family], "window_scaling": "none"})
    scaled = {**VALUES[family], "window_scaling": "mean"}
    other = Architecture(family, scaled)
    redundant = Architecture(family, {**scaled, "relative": True})
    assert canonical(stated) == canonical(plain) != canonical(other) == canonical(redundant)


@pytest.mark.parametrize("family", VALUES)
def test_drift_does_not_hurt_a_relative_forecast(family: str) -> None:
    """A walk that rises steadily: the test split lies above everything seen in training."""
    rise = np.arange(400) * 0.05 + np.random.default_rng(0).normal(0, 0.05, 400)
    data = series.forecasting("rise", rise[:, None], ["v"], ["v"], window=8, horizon=2)
    recipe = Recipe(epochs=5, optimizer="adam", learning_rate=0.01)
    errors = [error(family, relative, data, recipe) for relative in (False, True)]
    deviation = data.preprocessing["target"]["std"][0]
    steady = 0.075 / deviation  # of the last value, which the walk leaves by 1.5 steps
    assert errors[1] < 2 * steady < errors[0] / 3


def error(family: str, relative: bool, data: Dataset, recipe: Recipe) -> float:
    trained = network(family, relative, data.task).float()
    for _ in train(trained, data, recipe, seed=0):
        pass
    return evaluate(trained, data.test, data.task, "test")["test_mae"]


@pytest.mark.parametrize("family", VALUES)
def test_what_is_not_relative_keeps_its_identity(family: str) -> None:
    plain = Architecture(family, VALUES[family])
    canonical = families[family].canonical
    stated = Architecture(family, {**VALUES[family], "relative": False})
    other = Architecture(family, {**VALUES[family], "relative": True})
    assert canonical(stated) == canonical(plain) != canonical(other)


@pytest.mark.parametrize("family", VALUES)
def test_it_is_decided_where_the_targets_are_known_and_refused_elsewhere(family: str) -> None:
    settings = families[family].Settings.model_validate({"family": family})
    unknown = Task("forecasting", (9, 4), 6)
    for task, is_decided in ((TASK, True), (unknown, False)):
        names = {decision.name for decision in families[family].decisions(settings, task)}
        assert ("relative" in names) is is_decided
    with pytest.raises(InfeasibleError, match="targets are columns of the input"):
        network(family, relative=True, task=unknown)
    network(family, relative=False, task=unknown)


def test_targets_are_a_part_of_the_task() -> None:
    values = np.random.default_rng(0).normal(size=(60, 3))
    data = series.forecasting("s", values, ["a", "b", "c"], ["c", "a"], window=4, horizon=2)
    assert data.task.targets == (2, 0)
    assert Task.from_json(data.task.to_json()) == data.task
    assert "targets" not in Task("forecasting", (9, 4), 6).to_json()


@pytest.mark.parametrize(
    ("targets", "message"),
    [((0, 4), r"which has 4, got \[4\]"), ((0, 1, 2, 3), "6 outputs for 4 targets"), ((), "for 0")],
)
def test_impossible_targets_are_refused(targets: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task("forecasting", (9, 4), 6, targets=targets)
    with pytest.raises(ValueError, match="forecasting has targets"):
        Task("sequence_classification", (9, 4), 6, targets=(0,))
