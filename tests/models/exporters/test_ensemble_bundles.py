"""Ensembles as bundles: one network, one file of weights, and the same proof as of a network."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.averaging import mean_of_classes, mean_of_labels, mean_of_values
from models.checkpoint import Checkpoint, weights_of
from models.cost import cost
from models.datasets import Dataset, datasets
from models.ensemble import Chosen, Ensemble, Member, architecture_of, chosen_in
from models.exporters.bundle import BundleReport, write_bundle
from models.exporters.joined_source import renamed
from models.exporters.source import ensemble_source
from models.family import families
from models.recipe import Recipe
from models.training import evaluation
from models.training.final_scores import final_scores
from models.training.initialization import build
from search.testing.small_datasets import SMALL
from tests.models.support.sampling import draw

SHARES = [0.5, 0.25, 0.25]
SMALLEST: Mapping[str, Mapping[str, object]] = {
    "cnn_stages": {"stages": 1, "width": 8, "depth": 1},
    "cnn_cell": {"channels": 4, "cells": 1, "nodes": 2},
    "transformer": {"layers": 1, "width": 8},
    "mlp": {"depth": {"low": 1, "high": 2}, "width": 8},
}


def ensemble_of(dataset: Dataset, drawn: Sequence[tuple[str, int]]) -> Ensemble:
    """Untrained networks, each of a family and drawn by a seed; picked 2, 1 and 1 times."""
    members = []
    for number, (family, seed) in enumerate(drawn):
        entry, recipe = families[family], Recipe(dropout=0.1)
        settings = entry.Settings.model_validate(SMALLEST.get(family, {})).for_task(dataset.task)
        decisions = entry.decisions(settings, dataset.task)
        architecture = draw(family, decisions, Random(seed))
        network = build(architecture, dataset.task, recipe, number).eval()
        known = {"seed": number + 1, "metrics": {"val_loss": 1.0 + number}}
        weights = weights_of(network)
        checkpoint = Checkpoint(weights, architecture, dataset.task, recipe, known)
        members.append(Member(Chosen(10 + number, 2 if number == 0 else 1), checkpoint))
    return Ensemble(tuple(members))


def written(dataset: Dataset, ensemble: Ensemble, folder: Path) -> Path:
    metrics = final_scores(ensemble.network(), dataset, ensemble.recipe, is_validated=True)
    metrics |= {"val_loss": 0.75}
    report = BundleReport("srch_1", "an ensemble", 9, 9, 0, metrics, {}, {})
    write_bundle(folder / "bundle", ensemble, dataset, report)
    return folder / "bundle"


@pytest.mark.parametrize(
    ("task", "drawn"),
    [
        ("tabular_classification", [("mlp", 1), ("mlp", 2), ("mlp", 1)]),
        ("image_classification", [("cnn_stages", 1), ("cnn_cell", 2), ("cnn_stages", 3)]),
        ("forecasting", [("linear", 1), ("rnn", 2), ("transformer", 3)]),
        ("graph_classification", [("gnn", 1), ("gnn", 2), ("gnn", 3)]),
    ],
)
def test_a_bundle_of_several_networks_is_proved_as_one_of_one(
    task: str, drawn: list[tuple[str, int]], tmp_path: Path
) -> None:
    """`write_bundle` has every file checked in a process of its own: scores, predictions from the
    raw rows, the card's examples.
    """
    dataset = SMALL[task]()
    ensemble = ensemble_of(dataset, drawn)
    folder = written(dataset, ensemble, tmp_path)
    missing = json.loads((folder / "manifest.json").read_text())["missing"]
    assert missing.keys() == {"model.onnx", "model.pt2"}, "nobody has asked for them"
    metrics = json.loads((folder / "metrics.json").read_text())
    sizes = [cost(m.checkpoint.architecture, dataset.task, Recipe()) for m in ensemble.members]
    assert metrics["parameters"] == sum(size["parameters"] for size in sizes)
    assert metrics["flops"] == sum(size["flops"] for size in sizes)
    assert [member["share"] for member in metrics["members"]] == SHARES
    assert [member["trial"] for member in metrics["members"]] == [10, 11, 12]
    weights = load_file(folder / "model.safetensors")
    for number, member in enumerate(ensemble.members, 1):
        for name, tensor in member.checkpoint.weights.items():
            assert torch.equal(weights[f"member_{number}.{name}"], tensor)
    card = (folder / "README.md").read_text()
    assert "an ensemble of 3 networks found by Nasmith" in card
    assert f"| `member_1` | 0.5 | {drawn[0][0]} | 10 | 1 | 1.0000 |" in card
    assert "| together | 1 |  |  |  | 0.7500 |" in card
    architecture = json.loads((folder / "architecture.json").read_text())
    assert architecture == ensemble.architecture.to_json()


def test_equal_members_share_a_class_and_others_have_their_own() -> None:
    ensemble = ensemble_of(datasets["wine"].load(), [("mlp", 1), ("mlp", 2), ("mlp", 1)])
    text = ensemble_source(ensemble.network(), ensemble)
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    of_networks = [name for name in names if name.startswith("Network")]
    assert sorted(of_networks) == ["Network", "Network1", "Network2"]
    assert len(set(names)) == len(names)
    for number, name in enumerate(["Network1", "Network2", "Network1"], 1):
        assert f"self.member_{number} = {name}()" in text


@pytest.mark.parametrize("task", SMALL)
def test_networks_of_all_families_of_a_task_stand_in_one_file(task: str) -> None:
    """Whatever names their classes have: what the file builds says what the networks say."""
    torch.set_num_threads(1)
    dataset = SMALL[task]()
    able = [name for name, entry in families.items() if dataset.task.form in entry.tasks]
    ensemble = ensemble_of(dataset, [(name, 1) for name in able])
    network = ensemble.network()
    module: dict[str, Any] = {}
    exec(compile(ensemble_source(network, ensemble), "model.py", "exec"), module)  # noqa: S102 - ours
    built = module["build"]().eval()
    built.load_state_dict(network.state_dict())
    with torch.inference_mode():
        said = evaluation.outputs_of(built, dataset.validation, dataset.task)
        wanted = evaluation.outputs_of(network, dataset.validation, dataset.task)
    torch.testing.assert_close(said, wanted)


def _logits(shape: Sequence[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(*shape, generator=generator) for _ in SHARES]


@pytest.mark.parametrize(
    ("average", "shape", "meaning"),
    [
        (mean_of_classes, (6, 4), lambda outputs: outputs.softmax(dim=1)),
        (mean_of_classes, (2, 5, 4), lambda outputs: outputs.softmax(dim=2)),
        (mean_of_labels, (6, 3), torch.sigmoid),
        (mean_of_values, (6, 3), lambda outputs: outputs),
    ],
)
def test_what_is_averaged_is_what_outputs_mean(
    average: Callable[[list[torch.Tensor], list[float]], torch.Tensor],
    shape: tuple[int, ...],
    meaning: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    outputs = _logits(shape)
    wanted = sum(
        share * meaning(output.double()) for share, output in zip(SHARES, outputs, strict=True)
    )
    found = meaning(average(outputs, SHARES).double())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("average", [mean_of_classes, mean_of_labels])
def test_a_mean_of_what_is_certain_is_finite(
    average: Callable[[list[torch.Tensor], list[float]], torch.Tensor],
) -> None:
    sure = [torch.tensor([[900.0, -900.0]]), torch.tensor([[800.0, -700.0]])]
    assert average(sure, [0.5, 0.5]).isfinite().all()


def test_members_are_read_back_from_the_architecture() -> None:
    chosen = [Chosen(number, 1 + number % 2) for number in range(12)]  # more than nine
    own = ensemble_of(datasets["wine"].load(), [("mlp", 1)]).members[0].checkpoint.architecture
    assert chosen_in(architecture_of((one, own) for one in chosen)) == chosen


@pytest.mark.parametrize(
    ("text", "names", "found"),
    [
        ("a = Layer(1)\n", {"Layer": "Layer2"}, "a = Layer2(1)\n"),
        ("self.Layer = x.Layer\n", {"Layer": "Layer2"}, "self.Layer = x.Layer\n"),
        ('"""A Layer."""\nLayers\n', {"Layer": "Layer2"}, '"""A Layer."""\nLayers\n'),
        ("A, B = B, A\n", {"A": "B", "B": "A"}, "B, A = A, B\n"),
    ],
)
def test_names_are_changed_where_they_are_names(
    text: str, names: Mapping[str, str], found: str
) -> None:
    assert renamed(text, names) == found
