"""Memory before and after, against what can be counted by hand."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from models.latency import latency_ms
from models.memory import PeakMemory, available_bytes, largest_batch, training_bytes
from models.task import Task
from models.training.recipe import Recipe

CPU = torch.device("cpu")
TASK = Task("image_classification", (1, 8, 8), 10)


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 2), ("momentum", 3), ("adam", 4)])
def test_a_training_step_holds_weights_gradients_states_and_activations(
    optimizer: str, copies: int
) -> None:
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)
        )
    weights = (8 * 9 + 8) + (512 * 10 + 10)
    kept = 64 + 8 * 64  # a sample: the input for the convolution, the ReLU's output for the rest
    recipe = Recipe.model_validate({"optimizer": optimizer})
    assert training_bytes(network, TASK, recipe, 32) == 4 * (copies * weights + 32 * kept)
    half = recipe.model_copy(update={"precision": "bfloat16"})
    assert training_bytes(network, TASK, half, 32) == 4 * copies * weights + 2 * 32 * kept


def test_a_real_step_takes_what_was_said_and_not_much_more() -> None:
    def network() -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(1, 64, 3, padding=1)]
        for _ in range(4):
            layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 64, 10))

    recipe = Recipe(optimizer="momentum")
    with torch.device("meta"):
        expected = training_bytes(network(), TASK, recipe, 1024)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.randn(1024, *TASK.input_shape), torch.randint(10, (1024,))
    peak = PeakMemory(CPU)
    before = peak.bytes()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert 100e6 < expected < peak.bytes() - before < 2 * expected


@pytest.mark.parametrize("samples", [1, 7, 359, 1079])
@pytest.mark.parametrize("batch_size", [1, 3, 64, 1024, 65536])
def test_the_largest_batch_is_that_of_the_trainer(samples: int, batch_size: int) -> None:
    steps = -(-samples // batch_size)
    batches = torch.arange(samples).tensor_split(steps)
    assert largest_batch(samples, batch_size) == max(len(batch) for batch in batches)


def test_the_peak_is_that_since_the_start() -> None:
    size = 200_000_000
    peak = PeakMemory(CPU)
    before = peak.bytes()
    block = torch.ones(size // 4)
    del block
    assert 0.95 * size < peak.bytes() - before < 1.2 * size
    assert PeakMemory(CPU).bytes() - before < 0.2 * size  # freed, and the next trial starts anew


def test_the_limit_is_that_of_this_machine() -> None:
    assert 2**28 < available_bytes(CPU) < 2**44


def test_latency_is_the_median_pass_of_one_sample_and_changes_nothing() -> None:
    class Sleeper(nn.Module):
        passes = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            assert x.shape == (1, 1, 8, 8)
            self.passes += 1
            time.sleep(0.5 if self.passes <= 2 else 0.005)  # a cold start and one hiccup
            return x

    network = Sleeper().train()
    assert 5 <= latency_ms(network, TASK, CPU) < 100
    assert network.training
    assert network.passes == 4  # the warm-up and at least three, none after the budget is spent
