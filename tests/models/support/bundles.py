"""Bundles of networks with their first weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch

from models import checkpoint
from models.checkpoint import Checkpoint
from models.datasets import Dataset
from models.datasets.input_transform import with_inputs
from models.exporters import Turn, exporters
from models.exporters.bundle import BundleReport, export_of, write_bundle
from models.exporters.verification import write_samples
from models.family import families
from models.recipe import Recipe
from models.training.criterion import scoring
from models.training.initialization import build
from models.training.trainer import evaluate
from tests.models.support.sampling import draw


def bundle_of(
    dataset: Dataset,
    family: str,
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    **training: Any,
) -> Path:
    """A bundle of a network with its first weights: what it says is arbitrary, and the same."""
    write_bundle(folder / "bundle", *parts_of(dataset, family, folder, settings, **training))
    return folder / "bundle"


def files_of(dataset: Dataset, family: str, folder: Path, **training: Any) -> tuple[Path, Path]:
    """The files of a bundle that run, unchecked, and the folder of the raw test split that a fresh
    process would check them with.
    """
    export = export_of(*parts_of(dataset, family, folder, **training), {})
    place = folder / "bundle"
    place.mkdir()
    for exporter in exporters.values():
        if exporter.turn is Turn.NETWORK:
            exporter.write(place, export)
    write_samples(export.dataset, folder / "samples")
    return place, folder / "samples"


def parts_of(
    dataset: Dataset,
    family: str,
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    **training: Any,
) -> tuple[Checkpoint, Dataset, BundleReport]:
    """What a bundle is written of."""
    torch.set_num_threads(1)
    entry, recipe = families[family], Recipe(epochs=1, **training)
    decisions = entry.decisions(entry.Settings.model_validate(dict(settings or {})), dataset.task)
    architecture = draw(family, decisions, Random(1))
    network = build(architecture, dataset.task, recipe, 0).eval()
    path = str(folder / "weights.safetensors")
    checkpoint.save(path, network, architecture, dataset.task, recipe, {"seed": 0})
    score = scoring(dataset, recipe)(torch.device("cpu"))
    test = with_inputs(dataset, recipe).test
    metrics = evaluate(network, test, dataset.task, "test", score=score)
    report = BundleReport(None, dataset.name, 0, 0, 0, metrics, {}, {})
    return checkpoint.load(path), dataset, report
