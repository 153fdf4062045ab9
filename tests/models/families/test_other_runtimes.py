"""What people do with a network afterwards: `torch.export` and `torch.jit` take it as it is."""

from __future__ import annotations

import warnings
from random import Random

import pytest
import torch
from torch import Tensor

from models.family import families
from models.recipe import Recipe, TrainingSettings
from models.task import Task
from models.training.initialization import build
from search.space import SearchSpace

TASKS = {
    "mlp": Task("tabular_classification", (5,), 3),
    "cnn_cell": Task("image_classification", (1, 8, 8), 10),
    "cnn_stages": Task("image_classification", (3, 16, 16), 4),
    "rnn": Task("sequence_classification", (12, 3), 4),
    "transformer": Task("text_classification", (9,), 2, 30),
}


def batch(task: Task, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    if task.vocabulary:
        return torch.randint(task.vocabulary, (size, *task.input_shape), generator=generator)
    return torch.randn(size, *task.input_shape, generator=generator)


@pytest.mark.parametrize("family", TASKS)
def test_a_network_can_be_exported_and_traced(family: str) -> None:
    task, entry = TASKS[family], families[family]
    settings = entry.Settings().for_task(task)
    space = SearchSpace.of_family(family, entry, settings, TrainingSettings(), task)
    network = build(space.sample(Random(1)).architecture, task, Recipe(), 0).eval()
    first, second = batch(task, 3), batch(task, 3).flip(0)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit, that it is old
        exported = torch.export.export(network, (first,)).module()
        traced = torch.jit.trace(network, (first,))  # type: ignore[no-untyped-call]
        for other in (exported, traced):
            assert torch.allclose(other(second), network(second), atol=1e-6)
