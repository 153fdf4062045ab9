"""What holds for every exporter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch

from models.architecture import Architecture
from models.checkpoint import Checkpoint, weights_of
from models.cost import cost
from models.datasets import Dataset
from models.domains import Scalar
from models.exporters import BundleError, Exporter, Turn, exporters, formats, what_checks
from models.exporters.bundle import BundleReport, write_bundle
from models.exporters.verification import FreshProcess
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.task import Task
from models.training.criterion import scoring
from models.training.initialization import build
from models.training.trainer import evaluate
from search.testing.small_datasets import SMALL

DRAWS = 8
CONVERTED = "mlp"
"""The family whose bundle is written in all formats."""


class Bundles:
    """A bundle of a small network of each family, written by all exporters when first asked for.

    The networks are untrained, and scored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, family: str) -> Path:
        directory = self._folder / family
        if not directory.exists():
            dataset = self.dataset(family)
            checkpoint, report = untrained(family, dataset)
            asked = formats() if family == CONVERTED else ()  # each takes seconds
            write_bundle(directory, checkpoint, dataset, report, asked)
        return directory

    def dataset(self, family: str) -> Dataset:
        """A small one, of a task of the family."""
        task = next(task for task in SMALL if task in families[family].tasks)
        return SMALL[task]()


def check_exporter(name: str, bundles: Bundles) -> None:
    """It says what it writes, writes it for one family at least, and for the others says why not;
    its check, which all of these have passed, fails where a file is empty or cut in half.
    """
    exporter, written = exporters[name], list[str]()
    check_description(name)
    for family in families:
        manifest = json.loads((bundles.of(family) / "manifest.json").read_text())
        listed = {file for file, by in manifest["files"].items() if by["exporter"] == name}
        if listed:
            assert listed == set(exporter.files), f"{name} has {exporter.files}, listed {listed}"
            written.append(family)
            continue
        assert not exporter.is_required, f"a bundle of {family} lacks {exporter.files}"
        reasons = [manifest["missing"].get(file) for file in exporter.files]
        assert all(reasons), f"nobody says why {exporter.files} is missing for {family}"
    assert written, f"{name} writes nothing for any family: {reasons}"
    family = written[0]
    with FreshProcess(bundles.dataset(family)) as fresh:
        _check_damage(exporter, bundles.of(family), fresh)


def check_description(name: str) -> None:
    """Files that are its own, a line of the card, and a check that says what it does."""
    exporter = exporters[name]
    assert exporter.files, f"{name} writes no file"
    assert exporter.turn in Turn and isinstance(exporter.is_required, bool)
    assert exporter.card and "\n" not in exporter.card, f"{name} has no line for the card"
    assert what_checks(exporter).endswith("."), f"the check of {name} does not say what it checks"
    for file in exporter.files:
        assert Path(file).name == file and not file.startswith("."), f"{name} writes {file!r}"
        owners = [other for other, entry in exporters.items() if file in entry.files]
        assert owners == [name], f"{file} is of {owners}"


def untrained(family: str, dataset: Dataset) -> tuple[Checkpoint, BundleReport]:
    """The smallest of a few random networks of the family's default space, and its score."""
    architecture, recipe = _smallest(family, dataset.task), Recipe()
    network = build(architecture, dataset.task, recipe, 0)
    score = scoring(dataset, recipe)(torch.device("cpu"))
    metrics = evaluate(network, dataset.test, dataset.task, "test", score=score)
    report = BundleReport(
        search_id=None,
        search_name=f"a small {family}",
        trial=0,
        final_trial=0,
        seed=0,
        metrics=metrics,
        search_metrics={},
        final_metrics={},
    )
    return Checkpoint(weights_of(network), architecture, dataset.task, recipe, {}), report


def _smallest(family: str, task: Task) -> Architecture:
    found: list[tuple[float, str, Architecture]] = []
    entry = families[family]
    for seed in range(DRAWS):
        rng, values = Random(seed), dict[str, Scalar]()
        for decision in entry.decisions(entry.Settings(), task):
            if decision.is_active(values):
                values[decision.name] = decision.domain.sample(rng)
        architecture = Architecture(family, values)
        try:
            size = cost(architecture, task, Recipe())["parameters"]
        except InfeasibleError:
            continue
        found.append((size, architecture.key, architecture))
    assert found, f"none of {DRAWS} random networks of {family} fits {task.name}"
    return min(found)[2]


def _check_damage(exporter: Exporter, bundle: Path, fresh: FreshProcess) -> None:
    for file in exporter.files:
        for keep in (0.0, 0.5):
            spoiled = bundle.with_name(f"{bundle.name}-{file}-{keep}")
            shutil.copytree(bundle, spoiled)
            content = (spoiled / file).read_bytes()
            (spoiled / file).write_bytes(content[: int(len(content) * keep)])
            try:
                fresh.check(spoiled, exporter)
            except BundleError:
                continue
            finally:
                shutil.rmtree(spoiled)
            raise AssertionError(f"the check of {file} passes with {keep:.0%} of it")


__all__: Sequence[str] = ("Bundles", "check_description", "check_exporter", "untrained")
