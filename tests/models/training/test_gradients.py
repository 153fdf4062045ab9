from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.training import gradients
from models.training.diagnosis import diagnosis
from models.training.gradients import gradient_norm


def health(weights: list[nn.Parameter]) -> dict[str, float]:
    found = (value.item() for value in gradients.health(weights))
    return dict(zip(gradients.HEALTH, found, strict=True))


def parameters(*values: list[float]) -> list[nn.Parameter]:
    made = []
    for gradient in values:
        parameter = nn.Parameter(torch.zeros(len(gradient)))
        parameter.grad = torch.tensor(gradient)
        made.append(parameter)
    return made


def test_health_is_the_norms_of_first_and_last_and_the_share_of_non_finite_values() -> None:
    assert health(parameters([3.0, 4.0], [math.nan, math.inf, 1.0], [0.0, 5.0, 12.0])) == {
        "gradient_norm_first": 5.0,
        "gradient_norm_last": 13.0,
        "gradient_nonfinite_share": 2 / 8,
    }


def test_a_weight_without_a_gradient_has_norm_zero() -> None:
    idle = nn.Parameter(torch.ones(2))
    found = health([idle, *parameters([3.0, 4.0])])
    assert found["gradient_norm_first"] == 0 and found["gradient_norm_last"] == 5


def test_a_network_without_weights_is_healthy() -> None:
    assert set(health([]).values()) == {0.0}


def test_the_norm_is_that_of_all_gradients_together() -> None:
    assert gradient_norm(parameters([3.0], [4.0], [12.0])).item() == 13
    assert gradient_norm([nn.Parameter(torch.ones(1))]).item() == 0


@pytest.mark.parametrize(
    ("first", "last", "share", "expected"),
    [
        (0.1, 0.5, 0.0, None),
        (1e-9, 1e-9, 0.0, None),  # converged, not vanishing
        (0.0, 0.0, 0.0, None),
        (1e-9, 0.5, 0.0, "vanishing: gradient norm 1e-09 in the first layer, 0.5 in the last"),
        (0.0, 0.5, 0.0, "vanishing: gradient norm 0 in the first layer, 0.5 in the last"),
        (0.1, math.inf, 0.25, "exploding: 25.00% of the gradient is not finite"),
    ],
)
def test_a_vanishing_or_exploding_run_is_named(
    first: float, last: float, share: float, expected: str | None
) -> None:
    metrics = {
        "gradient_norm_first": first,
        "gradient_norm_last": last,
        "gradient_nonfinite_share": share,
    }
    assert diagnosis(metrics) == expected


def test_a_deep_sigmoid_network_is_seen_to_vanish_and_a_residual_one_is_not() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.sigmoid(self.layer(x))

    def found(deep: list[nn.Module]) -> str | None:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 8), *deep, nn.Linear(8, 2))
        network(torch.randn(16, 8)).square().sum().backward()
        return diagnosis(health([p for p in network.parameters() if p.dim() == 2]))

    plain = [module for _ in range(30) for module in (nn.Linear(8, 8), nn.Sigmoid())]
    assert "vanishing" in (found(plain) or "")
    assert found([Residual() for _ in range(30)]) is None
