"""Exporters that fail: what is lost with them, and what the manifest says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from models.architecture import Architecture
from models.checkpoint import Checkpoint, weights_of
from models.datasets import Dataset, datasets
from models.exporters import CannotExportError, Export, Turn, exporters, formats
from models.exporters.bundle import BundleError, BundleReport, write_bundle
from models.exporters.sums import check_sums
from models.family import families
from models.recipe import Recipe
from models.training.trainer import evaluate

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle

NOTE = "note.txt"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return datasets["wine"].load()


@pytest.fixture(scope="module")
def untrained(dataset: Dataset) -> tuple[Checkpoint, BundleReport]:
    architecture, recipe = Architecture("mlp", {"depth": 0}), Recipe()
    torch.manual_seed(0)
    network = families["mlp"].build(architecture, dataset.task, recipe)
    metrics = evaluate(network, dataset.test, dataset.task, "test")
    checkpoint = Checkpoint(weights_of(network), architecture, dataset.task, recipe, {})
    report = BundleReport(
        search_id=None,
        search_name="nothing",
        trial=0,
        final_trial=0,
        seed=0,
        metrics=metrics,
        search_metrics={},
        final_metrics={},
    )
    return checkpoint, report


class Note:
    """Writes a file beside the others, which its check reads."""

    files = (NOTE,)
    card = "a note"
    is_required = False
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / NOTE).write_text(f"{len(export.dataset.test)} samples")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It counts the raw test split."""
        assert (bundle.folder / "note.txt").read_text() == f"{len(bundle.targets)} samples"


class WithoutItsLibrary(Note):
    files = ("half.txt",)

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / "half.txt").write_text("half of a no")
        import no_such_library  # noqa: F401


class Refusing(Note):
    files = ("refused.txt",)

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        raise CannotExportError("an mlp has no note")


class WithStrays(Note):
    files = ("kept.txt",)

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / "kept.txt").write_text("here")
        (folder / "stray").mkdir()


class Wrong(Note):
    files = ("wrong.txt", "right.txt")

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        for file in Wrong.files:
            (folder / file).write_text("35 samples")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It counts the raw test split."""
        text = (bundle.folder / "wrong.txt").read_text()
        if text != f"{len(bundle.targets)} samples":
            raise ValueError(f"there are {len(bundle.targets)} samples, not {text}")


class Deadly(Note):
    files = ("deadly.txt",)

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / "deadly.txt").write_text("do not touch")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It ends the process that looks at it."""
        import os
        import sys

        sys.stderr.write("goodbye")
        sys.stderr.flush()
        os._exit(9)


class LeaningOnNasmith(Note):
    files = ("leaning.txt",)

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / "leaning.txt").write_text("")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It asks Nasmith."""
        from models.family import families

        assert families


FAILING: dict[type[Note], str] = {
    WithoutItsLibrary: "ModuleNotFoundError: No module named 'no_such_library'",
    Refusing: "an mlp has no note",
    WithStrays: "['kept.txt', 'stray'] was written instead of ['kept.txt']",
    Wrong: "the check of wrong.txt, right.txt has failed: ValueError: there are 36 samples, not 35 "
    "samples",
    Deadly: "the check of deadly.txt has ended its process (exit 9): goodbye",
    LeaningOnNasmith: "the check of leaning.txt has failed: ImportError: a bundle runs without "
    "Nasmith, but it imports models",
}


FAILED = {file: reason for failing, reason in FAILING.items() for file in failing.files}


def register(monkeypatch: pytest.MonkeyPatch, *added: type[Note]) -> None:
    for exporter in added:
        assert exporter.__name__ not in exporters  # which has looked for its files, then
        monkeypatch.setitem(exporters._entries, exporter.__name__, exporter)


def test_a_file_that_fails_is_missing_and_costs_no_other(
    untrained: tuple[Checkpoint, BundleReport],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside those that fail, one that does not: it is written, checked, told and listed."""
    register(monkeypatch, Note, *FAILING)
    folder = tmp_path / "bundle"
    write_bundle(folder, untrained[0], dataset, untrained[1])
    manifest = json.loads((folder / "manifest.json").read_text())
    unasked = {file for name in formats() for file in exporters[name].files}
    assert {f: why for f, why in manifest["missing"].items() if f not in unasked} == FAILED
    lacking = FAILED.keys() | unasked
    able = {file for entry in exporters.values() for file in entry.files if file not in lacking}
    assert manifest["files"].keys() == set(os.listdir(folder)) == able
    assert {
        file for entry in exporters.values() if entry.is_required for file in entry.files
    } < able
    assert manifest["files"][NOTE] == {
        "exporter": "Note",
        "checked": "It counts the raw test split.",
    }
    card = (folder / "README.md").read_text()
    assert "- `note.txt`: a note\n" in card
    assert not [file for file in manifest["missing"] if file in card]
    check_sums(folder)


@pytest.mark.parametrize("failing", [WithoutItsLibrary, Wrong])
def test_without_a_required_file_there_is_no_bundle(
    failing: type[Note],
    untrained: tuple[Checkpoint, BundleReport],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failing, "is_required", True)
    register(monkeypatch, failing)
    with pytest.raises((BundleError, ImportError), match=FAILING[failing].split(": ")[-1]):
        write_bundle(tmp_path / "bundle", untrained[0], dataset, untrained[1])
    assert list(tmp_path.iterdir()) == []
