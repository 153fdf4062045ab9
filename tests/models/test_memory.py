"""Memory before and after, against what can be counted by hand."""

from __future__ import annotations

import mmap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch import nn

from models.family import families
from models.memory import PeakMemory, available_bytes, largest_batch, training_bytes
from models.presets import preset
from models.recipe import Recipe
from models.task import Task

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
    """In a process of its own: what earlier tests have freed would be taken again."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        expected, used = fresh.submit(_step).result()
    assert 100e6 < expected < used < 2.5 * expected


def _step() -> tuple[int, int]:
    """The bytes that a step should take, and those that it takes."""

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
    nn.functional.cross_entropy(model(x[:2]), y[:2]).backward()  # loads kernels
    optimizer.zero_grad()
    peak = PeakMemory(CPU)
    before = peak.bytes()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    return expected, peak.bytes() - before


@pytest.mark.parametrize("name", ["lstm", "gru", "gpt-mini", "bert-mini"])
def test_sequences_keep_what_was_said_and_not_much_more(name: str) -> None:
    """Attention without the matrix of steps by steps, recurrence with the gates of every step."""
    known = preset(name)
    family = families[known.architecture.family]
    language = known.published["task"] == "language_modeling"
    task = Task(known.published["task"], (64,), 11 if language else 2, 11)
    with torch.device("meta"):
        network = family.build(known.architecture, task, Recipe())
    weights = sum(4 * p.numel() for p in network.parameters())
    expected = training_bytes(network, task, Recipe(optimizer="sgd"), 2) - 2 * weights
    real = family.build(known.architecture, task, Recipe())
    own = {p.untyped_storage().data_ptr() for p in real.parameters()}
    kept: dict[int, torch.Tensor] = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.setdefault(x.untyped_storage().data_ptr(), x), lambda x: x
    ):
        real(torch.randint(1, 11, (2, 64)))
    found = sum(x.untyped_storage().nbytes() for key, x in kept.items() if key not in own)
    assert expected <= found < 2.5 * expected  # an LSTM's workspace on the CPU is generous


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
    with mmap.mmap(-1, size) as block:  # malloc may have as much left from earlier tests
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
    assert 0.95 * size < peak.bytes() - before < 1.2 * size
    assert PeakMemory(CPU).bytes() - before < 0.2 * size  # freed, and the next trial starts anew


def test_the_limit_is_that_of_this_machine() -> None:
    assert 2**28 < available_bytes(CPU) < 2**44
