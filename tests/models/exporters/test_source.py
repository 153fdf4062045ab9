"""`model.py`: does the text make the very network, and is it plain PyTorch?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.exporters.source import source
from models.family import InfeasibleError, families
from models.operations import operations
from models.recipe import Recipe
from models.task import Task
from tests.models.support.sampling import cells

TASK = Task("image_classification", (2, 9, 6), 5)


def loaded(text: str) -> ModuleType:
    module = ModuleType("model")
    exec(compile(text, "model.py", "exec"), vars(module))  # noqa: S102 - text that we wrote
    return module


def feasible(topology: str, number: int, seed: int) -> list[tuple[Architecture, Recipe, nn.Module]]:
    """Random networks with weights and statistics that are not those of a fresh one."""
    rng, found = Random(seed), []
    while len(found) < number:
        architecture = cells(
            TASK,
            rng.getrandbits(32),
            topology=topology,
            nodes={"low": 2, "high": 7},
            cells={"low": 1, "high": 6 if topology == "darts" else 2},
            channels={"low": 2, "high": 5},
            stem_stride={"choice": [1, 2]},
            head_pool={"choice": [1, 2]},
        )
        recipe = Recipe(dropout=rng.choice((0.0, 0.25)), batch_norm=rng.random() < 0.7)
        try:
            network = families["cnn_cell"].build(architecture, TASK, recipe)
        except InfeasibleError:
            continue
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.uniform_(0.1, 0.6)
        found.append((architecture, recipe, network))
    return found


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_the_text_makes_the_very_network(topology: str) -> None:
    images = torch.randn(3, *TASK.input_shape)
    for architecture, _, network in feasible(topology, 25, seed=0):
        written = loaded(source(network, architecture, TASK)).build()
        assert list(written.state_dict()) == list(network.state_dict())
        written.load_state_dict(network.state_dict(), strict=True)
        for mode in (False, True):
            outputs: list[Tensor] = []
            for model in (network.train(mode), written.train(mode)):
                torch.manual_seed(0)  # the same dropout
                outputs.append(model(images))
            assert torch.equal(*outputs)


@pytest.mark.parametrize("topology", ["darts", "nasbench201"])
def test_the_text_is_plain_pytorch(topology: str, tmp_path: Path) -> None:
    for number, (architecture, _, network) in enumerate(feasible(topology, 12, seed=1)):
        text = source(network, architecture, TASK)
        (tmp_path / f"model_{number}.py").write_text(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= {"torch", "math"}
            if isinstance(node, ast.ImportFrom):
                assert node.module in {"__future__", "torch", "torch.nn"}
        lowered = text.lower().replace("torch.searchsorted", "")
        for word in ("nasmith", "supernet", "search", "genotype", "operations[", "models."):
            assert word not in lowered
    ruff = [sys.executable, "-m", "ruff"]
    checks = [
        [*ruff, "check", "--isolated", "."],
        [*ruff, "format", "--isolated", "--check", "--line-length", "100", "."],
    ]
    for command in checks:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_text_holds_the_operations_of_the_network_and_no_others() -> None:
    classes = {
        name: entry.module.__name__
        for name, entry in operations.items()
        if entry.module is not None
    }
    for topology in ("darts", "nasbench201"):
        for architecture, _, network in feasible(topology, 12, seed=2):
            tree = ast.parse(source(network, architecture, TASK))
            defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
            built = {type(module).__name__ for module in network.modules()}
            assert defined & set(classes.values()) == built & set(classes.values())
            called = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            bases = {
                base.id
                for node in tree.body
                if isinstance(node, ast.ClassDef)
                for base in node.bases
                if isinstance(base, ast.Name)
            }
            assert defined <= called | bases


def test_the_text_says_the_shapes() -> None:
    architecture = cells(TASK, 1, operations=["sep_conv_3x3"], channels=4)
    network = families["cnn_cell"].build(architecture, TASK, Recipe())
    text = source(network, architecture, TASK)
    assert '"""(N, 2, 9, 6) -> (N, 5) logits."""' in text
    assert "# (N, 12, 9, 6)" in text  # the stem: three times the channels
    assert "# (N, 24, 5, 3)" in text  # three nodes of eight channels after the first reduction
    assert "# (N, 48, 3, 2)" in text


def test_the_text_turns_raw_samples_into_input() -> None:
    architecture = cells(TASK, 1, operations=["sep_conv_3x3"])
    network = families["cnn_cell"].build(architecture, TASK, Recipe())
    module = loaded(source(network, architecture, TASK))
    preprocessing = {
        "input": {"shape": [2], "dtype": "uint8"},
        "steps": [{"op": "scale", "factor": 0.5}],
    }
    raw = torch.tensor([[2, 4]], dtype=torch.uint8)
    assert torch.equal(module.preprocess(raw, preprocessing), torch.tensor([[1.0, 2.0]]))
