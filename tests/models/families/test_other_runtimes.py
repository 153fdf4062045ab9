"""What people do with a network afterwards: `torch.export` and `torch.jit` take it as the text of a
bundle's `model.py` makes it.
"""

from __future__ import annotations

import warnings
from random import Random
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from models.exporters.source import source
from models.family import families
from models.recipe import Recipe, TrainingSettings
from models.task import GraphSize, Task
from models.training.initialization import build
from search.space import SearchSpace

TASKS = {
    "bag": Task("text_classification", (9,), 2, 30),
    "cnn_cell": Task("image_classification", (1, 8, 8), 10),
    "cnn_stages": Task("image_classification", (3, 16, 16), 4),
    "gnn": Task("node_classification", (5,), 3, graph=GraphSize(12, 30, None)),
    "linear": Task("sequence_classification", (12, 3), 4),
    "mlp": Task("tabular_classification", (5,), 3),
    "ngram": Task("language_modeling", (9,), 30, 30),
    "patchtst": Task("forecasting", (12, 3), 4, targets=(0, 2)),
    "rnn": Task("sequence_classification", (12, 3), 4),
    "rocket": Task("sequence_classification", (12, 3), 4),
    "tcn": Task("sequence_classification", (12, 3), 4),
    "text_cnn": Task("text_classification", (9,), 2, 30),
    "transformer": Task("text_classification", (9,), 2, 30),
}


class OfTensors(nn.Module):
    """A network of graphs, whose links stay the same, by the features of its nodes."""

    def __init__(self, module: ModuleType, network: nn.Module) -> None:
        super().__init__()
        self.module, self.network = module, network

    def forward(self, x: Tensor) -> Tensor:
        nodes = torch.arange(len(x))
        rows = nodes.repeat_interleave(2)
        columns = torch.stack([nodes, (nodes + 1) % len(x)], dim=1).sort(dim=1).values.flatten()
        links = self.module.Sparse(rows, columns, len(x), len(x))
        outputs: Tensor = self.network(self.module.Graph(x, links))
        return outputs


def batch(task: Task, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    if task.vocabulary:
        return torch.randint(task.vocabulary, (size, *task.input_shape), generator=generator)
    return torch.randn(size, *task.input_shape, generator=generator)


@pytest.mark.parametrize("family", families)
def test_what_a_bundle_builds_can_be_exported_and_traced(family: str) -> None:
    assert family in TASKS, f"the family {family} needs a task here"
    task, entry = TASKS[family], families[family]
    settings = entry.Settings().for_task(task)
    space = SearchSpace.of_family(family, entry, settings, TrainingSettings(), task)
    architecture = space.sample(Random(1)).architecture
    original = build(architecture, task, Recipe(), 0).eval()
    module = ModuleType("model")
    exec(source(original, architecture, task), vars(module))  # noqa: S102 - text that we wrote
    network: nn.Module = module.build().eval()
    network.load_state_dict(original.state_dict())
    if task.graph is not None:
        network = OfTensors(module, network)
    first, second = batch(task, 3), batch(task, 3).flip(0)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit, that it is old
        exported = torch.export.export(network, (first,)).module()
        traced = torch.jit.trace(network, (first,))  # type: ignore[no-untyped-call]
        for other in (exported, traced):
            assert torch.allclose(other(second), network(second), atol=1e-6)
