from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, OneCycleLR

from models.recipe import Recipe, ScheduleName
from models.training.schedules import schedule

EPOCHS, STEPS, PEAK = 8, 5, 0.3
TOTAL = EPOCHS * STEPS


def ours(name: ScheduleName, **more: int) -> list[float]:
    recipe = Recipe(epochs=EPOCHS, schedule=name, learning_rate=PEAK, **more)
    rate = schedule(recipe, STEPS)
    return [rate(t) for t in range(TOTAL)]


def torchs(kind: type, **settings: object) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK, momentum=0.9)
    scheduler = kind(optimizer, **settings)
    rates = []
    for _ in range(TOTAL):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def test_constant() -> None:
    assert ours("constant") == [PEAK] * TOTAL


def test_step_is_a_tenth_after_a_half_and_after_three_quarters() -> None:
    assert ours("step") == pytest.approx([PEAK] * 20 + [PEAK / 10] * 10 + [PEAK / 100] * 10)
    assert ours("step") == pytest.approx(torchs(MultiStepLR, milestones=[20, 30], gamma=0.1))


def test_cosine_is_that_of_torch() -> None:
    rates = ours("cosine")
    assert rates[0] == PEAK and rates[TOTAL // 2] == pytest.approx(PEAK / 2)
    assert rates == pytest.approx(torchs(CosineAnnealingLR, T_max=TOTAL))


def test_one_cycle_is_that_of_torch() -> None:
    rates = ours("one_cycle")
    assert rates[0] == pytest.approx(PEAK / 25) and max(rates) == pytest.approx(PEAK)
    assert rates[-1] == pytest.approx(PEAK / 25e4)
    settings = {"max_lr": PEAK, "total_steps": TOTAL + 1}  # it asks for one step more at the end
    recipe = Recipe(epochs=TOTAL + 1, schedule="one_cycle", learning_rate=PEAK)
    rate = schedule(recipe, 1)
    assert [rate(t) for t in range(TOTAL)] == pytest.approx(torchs(OneCycleLR, **settings))


def test_warmup_cosine_is_linear_and_then_the_cosine_of_the_rest() -> None:
    rates = ours("warmup_cosine", warmup_epochs=2)
    assert rates[:10] == pytest.approx([PEAK * (t + 1) / 10 for t in range(10)])
    assert rates[:10] == pytest.approx(torchs(LinearLR, start_factor=0.1, total_iters=9)[:10])
    assert rates[10:] == pytest.approx(torchs(CosineAnnealingLR, T_max=TOTAL - 10)[:30])


def test_a_warmup_longer_than_the_run_only_rises() -> None:
    rates = ours("warmup_cosine", warmup_epochs=100)
    assert rates == pytest.approx([PEAK * (t + 1) / TOTAL for t in range(TOTAL)])


def test_no_warmup_is_the_cosine() -> None:
    assert ours("warmup_cosine", warmup_epochs=0) == ours("cosine")


@pytest.mark.parametrize("name", get_args(ScheduleName))
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_every_rate_of_a_short_run_is_positive_and_at_most_the_peak(
    name: ScheduleName, steps: int
) -> None:
    rate = schedule(Recipe(epochs=1, schedule=name, learning_rate=PEAK), steps)
    rates = [rate(t) for t in range(steps)]
    assert all(0 < value <= PEAK for value in rates)
    if steps == 1:
        assert rates == pytest.approx([PEAK])
