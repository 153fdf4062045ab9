"""A latency is that of a warm network, whatever disturbs it at times."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from models import latency
from models.latency import MOST_PASSES, WARM_UPS, latency_ms
from models.task import Task

CPU = torch.device("cpu")
TASK = Task("image_classification", (1, 8, 8), 10)


class Sleeper(nn.Module):
    """Takes so many seconds for its pass number 1, 2, ..."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        super().__init__()
        self.passes, self._seconds = 0, seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert x.shape == (1, 1, 8, 8)
        self.passes += 1
        time.sleep(self._seconds(self.passes))
        return x


def test_it_is_the_median_of_warm_passes_of_one_sample_and_changes_nothing() -> None:
    """A cold start of half a second and one such hiccup later on."""
    network = Sleeper(lambda number: 0.5 if number in (1, WARM_UPS + 3) else 0.005).train()
    assert 5 <= latency_ms(network, TASK, CPU) < 400
    assert network.training
    network.eval()
    latency_ms(network, TASK, CPU)
    assert not network.training


def test_a_round_whose_passes_differ_much_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short and long ones in turn, then all alike."""
    monkeypatch.setattr(latency, "LONGEST_MS", 10_000.0)
    unsteady = WARM_UPS + 1 + 12
    network = Sleeper(lambda number: (0.001, 0.02)[number % 2] if number <= unsteady else 0.004)
    latency_ms(network, TASK, CPU)
    assert network.passes >= unsteady


def test_others_hold_still_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much the passes differ: at most the passes of a round once the time is over."""
    monkeypatch.setattr(latency, "LONGEST_MS", 0.0)
    network = Sleeper(lambda number: 0.002 * (number % 3))
    latency_ms(network, TASK, CPU)
    assert network.passes <= WARM_UPS + 1 + MOST_PASSES
