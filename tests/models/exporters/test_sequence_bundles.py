"""Bundles of series and texts: raw samples in, the recorded score out, without Nasmith."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models import checkpoint
from models.architecture import Architecture
from models.datasets import Dataset
from models.exporters.bundle import BundleReport, write_bundle
from models.family import families
from models.recipe import Recipe
from models.training.criterion import scoring
from models.training.trainer import evaluate, train
from search.testing.small_datasets import opinions, waves

CELL = {"cell": "darts", "layers": 1, "hidden": 8, "direction": "bidirectional", "nodes": 2}
CELL |= {"node_1_source": 0, "node_1_activation": "relu"}
CELL |= {"node_2_source": 1, "node_2_activation": "tanh", "relative": True}
BLOCKS = {"layers": 2, "width": 8, "heads": 2, "feed_forward": 2, "activation": "gelu"}
BLOCKS |= {"norm": "pre", "positions": "rotary", "readout": "mean", "dropout": 0.1}
BLOCKS |= {"layer_1_mixer": "attention", "layer_2_mixer": "convolution", "layer_2_kernel": 3}
FORECAST = {**BLOCKS, "window_scaling": "mean"}


@pytest.mark.parametrize(
    ("dataset", "architecture"),
    [
        (waves, Architecture("rnn", CELL)),
        (waves, Architecture("transformer", FORECAST)),
        (opinions, Architecture("transformer", BLOCKS)),
    ],
)
def test_a_bundle_gives_the_recorded_score(
    dataset: Callable[[], Dataset], architecture: Architecture, tmp_path: Path
) -> None:
    data, recipe = dataset(), Recipe(epochs=2, optimizer="adam", learning_rate=0.01, dropout=0.1)
    torch.manual_seed(0)
    network = families[architecture.family].build(architecture, data.task, recipe)
    *_, last = train(network, data, recipe, seed=0)
    score = scoring(data, recipe)(torch.device("cpu"))
    metrics = last | evaluate(network, data.test, data.task, "test", score=score)
    path = str(tmp_path / "0.safetensors")
    checkpoint.save(path, network, architecture, data.task, recipe, {})
    report = BundleReport(
        search_id=None,
        search_name="a sequence",
        trial=0,
        final_trial=0,
        seed=0,
        metrics=metrics,
        search_metrics={},
        final_metrics={},
    )
    assert len(report.test_metrics) >= 3
    write_bundle(tmp_path / "bundle", checkpoint.load(path), data, report)
    missing = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["missing"]
    assert missing.keys() == {"model.onnx", "model.pt2"}, "nobody has asked for them"
