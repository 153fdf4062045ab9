"""One bit remembered over 100 steps: what a plain recurrent network fails at, and what cures it.

Each pair differs in one thing alone. Chance is 0.5, with a deviation of 0.03 on 256 samples.
"""

from __future__ import annotations

import pytest
import torch

from models.architecture import Architecture
from models.datasets import Dataset, Split
from models.family import families
from models.recipe import Recipe
from models.task import Task, TaskName
from models.training.trainer import NonFiniteError, train

STEPS = 100


def first_bit(count: int, seed: int) -> Split:
    """The sign of the first value; noise follows."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=generator)
    x = 0.1 * torch.randn(count, STEPS, 1, generator=generator)
    x[:, 0, 0] = 2.0 * y - 1
    return Split(x, y)


def marked_bit(count: int, seed: int) -> Split:
    """Of 100 bits, the one that a second channel marks."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(2, (count, STEPS), generator=generator)
    place = torch.randint(STEPS, (count,), generator=generator)
    marks = torch.nn.functional.one_hot(place, STEPS)
    return Split(torch.stack([2.0 * bits - 1, marks.float()], dim=2), bits[range(count), place])


def first_value(count: int, seed: int) -> Split:
    """The first value itself, 1 or -1."""
    split = first_bit(count, seed)
    return Split(split.x, 2.0 * split.y[:, None] - 1)


TOYS = {
    "first_bit": (first_bit, 512),
    "marked_bit": (marked_bit, 1024),
    "first_value": (first_value, 512),
}


def score(cell: str, toy: str, recipe: dict[str, object]) -> dict[str, float]:
    make, count = TOYS[toy]
    splits = [make(size, seed) for seed, size in enumerate((count, 256, 1))]
    name: TaskName = "sequence_classification"
    if splits[0].y.is_floating_point():
        name = "forecasting"
    outputs = 1 if name == "forecasting" else 2
    task = Task(name, tuple(splits[0].x.shape[1:]), outputs)
    dataset = Dataset(toy, task, *splits, splits[2], {}, "0")
    values = {"cell": cell, "layers": 1, "hidden": 16, "direction": "forward"}
    settings = Recipe.model_validate({"batch_size": 32, "schedule": "constant", **recipe})
    torch.manual_seed(0)
    network = families["rnn"].build(Architecture("rnn", values), task, settings)
    *_, last = train(network, dataset, settings, seed=0)
    return last


def test_orthogonal_initialisation_remembers_what_a_plain_network_forgets() -> None:
    recipe = {"optimizer": "adam", "learning_rate": 0.005, "epochs": 5}
    orthogonal = {**recipe, "initialization": "orthogonal"}
    assert score("rnn", "first_bit", recipe)["val_accuracy"] < 0.65
    assert score("rnn", "first_bit", orthogonal)["val_accuracy"] > 0.95


def test_gates_remember_what_a_plain_network_forgets() -> None:
    recipe = {"optimizer": "adam", "learning_rate": 0.01, "clip_norm": 1.0, "epochs": 14}
    orthogonal = {**recipe, "initialization": "orthogonal"}
    assert score("rnn", "marked_bit", orthogonal)["val_accuracy"] < 0.65
    assert score("lstm", "marked_bit", orthogonal)["val_accuracy"] > 0.95


def test_clipping_learns_where_a_plain_network_explodes() -> None:
    """The mean itself has an error of 1."""
    recipe = {"optimizer": "momentum", "learning_rate": 0.5, "epochs": 6}
    orthogonal = {**recipe, "initialization": "orthogonal"}
    with pytest.raises(NonFiniteError, match="exploded in epoch"):
        score("rnn", "first_value", orthogonal)
    assert score("rnn", "first_value", {**orthogonal, "clip_norm": 0.01})["val_mse"] < 0.1
