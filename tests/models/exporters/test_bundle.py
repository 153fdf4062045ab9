"""A bundle runs alone and scores what it says, or it is not published."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score

from models import checkpoint
from models.architecture import Architecture
from models.checkpoint import Checkpoint
from models.cost import cost
from models.datasets import Dataset, datasets
from models.domains import Scalar
from models.exporters.bundle import (
    BundleError,
    BundleReport,
    publish_bundle,
    score_bundle,
    verify_bundle,
    write_bundle,
    zip_bundle,
)
from models.exporters.card import score_table
from models.exporters.sums import check_sums, write_sums
from models.family import families
from models.recipe import Recipe
from models.training.trainer import evaluate, train

FILES = [
    "README.md",
    "SHA256SUMS",
    "architecture.json",
    "manifest.json",
    "metrics.json",
    "model.py",
    "model.safetensors",
    "preprocessing.json",
]
"""What every bundle has; some have more."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return datasets["digits"].load()


@pytest.fixture(scope="module")
def trained(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, BundleReport]:
    """A small network, trained for two epochs, and what was recorded about it."""
    torch.set_num_threads(1)
    family, recipe = families["cnn_cell"], Recipe(epochs=2, batch_size=32, dropout=0.1)
    settings = family.Settings.model_validate({"channels": 4, "cells": 3, "nodes": 2})
    rng = Random(3)
    values: dict[str, Scalar] = {}
    for decision in family.decisions(settings, dataset.task):
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    architecture = Architecture("cnn_cell", values)
    torch.manual_seed(0)
    network = family.build(architecture, dataset.task, recipe)
    *_, last = train(network, dataset, recipe, seed=1, keep_best=True)
    metrics = last | evaluate(network, dataset.test, dataset.task, "test")
    path = str(tmp_path_factory.mktemp("checkpoints") / "9.safetensors")
    checkpoint.save(path, network, architecture, dataset.task, recipe, {"seed": 1})
    report = BundleReport(
        search_id="srch_0190",
        search_name="digits\n# of ours",
        trial=4,
        final_trial=9,
        seed=1,
        metrics=metrics,
        search_metrics={"val_accuracy": 0.625},
        final_metrics={"test_accuracy": {"mean": 0.75, "std": 0.125, "seeds": 2}},
    )
    return checkpoint.load(path), report


@pytest.fixture(scope="module")
def written(
    trained: tuple[Checkpoint, BundleReport],
    dataset: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(directory, trained[0], dataset, trained[1])
    return directory


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "bundle"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, to see that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_folder_holds_the_network_and_where_it_comes_from(
    written: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset
) -> None:
    loaded, report = trained
    assert set(FILES) <= set(names(written))
    document = json.loads((written / "architecture.json").read_text())
    assert Architecture.from_json(document) == loaded.architecture
    preprocessing = json.loads((written / "preprocessing.json").read_text())
    undecided = {"decision": {"temperature": 1.0, "offsets": [0.0] * 10}}
    assert preprocessing == {**dataset.preprocessing, **undecided}
    metrics = json.loads((written / "metrics.json").read_text())
    costs = cost(loaded.architecture, loaded.task, loaded.recipe)
    assert metrics["metrics"] == dict(report.metrics)
    assert metrics["final_metrics"] == report.final_metrics
    assert (metrics["parameters"], metrics["flops"]) == (costs["parameters"], costs["flops"])
    assert metrics["dataset"]["samples"] == {"train": 1079, "validation": 359, "test": 359}
    weights = load_file(written / "model.safetensors")
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == {
        name: tuple(weight.shape) for name, weight in loaded.weights.items()
    }


def test_the_code_is_torch_and_nothing_else(written: Path) -> None:
    tree = ast.parse((written / "model.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported <= {"__future__", "math", "torch"}
    assert {"build", "preprocess"} <= {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef)
    }


def test_the_sums_hold_for_the_usual_tool(bundle: Path) -> None:
    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == len(names(bundle)) - 1


def test_the_five_lines_of_the_card_run(
    bundle: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    assert len(block.splitlines()) == 5
    assert "import models" not in block
    script = f"{block}\nprint(json.dumps(outputs.tolist()))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=bundle, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    blank = torch.zeros(1, *dataset.raw_test.x.shape[1:])
    mean, std = (dataset.preprocessing["steps"][-1][name][0] for name in ("mean", "std"))
    with torch.inference_mode():
        expected = trained[0].network()((blank.reshape(1, 1, 8, 8) - mean) / std)
    torch.testing.assert_close(torch.tensor(json.loads(done.stdout)), expected)


def test_the_card_says_data_scores_and_origin(
    written: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset
) -> None:
    card = (written / "README.md").read_text()
    parameters = sum(weight.numel() for weight in trained[0].network().parameters())
    for text in (
        "# digits # of ours: a network",  # a name is one line, whatever is in it
        f"{parameters:,} parameters",
        "0.7500 ± 0.1250 (n = 2)",
        "| 0.6250 |",
        "`srch_0190`, trial 4; weights of trial 9, seed 1",
        dataset.fingerprint,
        "359 for test",
    ):
        assert text in card
    assert f"{trained[1].metrics['test_accuracy']:.4f}" in card


def test_one_run_has_no_deviation_in_the_card() -> None:
    spread = {"val_accuracy": {"mean": 0.75, "std": 0.0, "seeds": 1}}
    metrics = {"metrics": {"val_accuracy": 0.75}, "final_metrics": spread, "search_metrics": {}}
    table = score_table({**metrics, "baseline": {"val_accuracy": 0.625}})
    assert "| val_accuracy | 0.7500 | 0.7500 (one run) |  | 0.6250 |" in table


def test_the_same_files_give_the_same_zip(
    bundle: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    write_bundle(again, trained[0], dataset, trained[1])
    assert zip_bundle(again) == zip_bundle(bundle)
    with zipfile.ZipFile(io.BytesIO(zip_bundle(again))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names(again)
        archive.extractall(tmp_path / "unpacked")
    check_sums(tmp_path / "unpacked")


def test_a_folder_that_is_there_is_left_alone(
    bundle: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset
) -> None:
    with pytest.raises(FileExistsError):
        write_bundle(bundle, trained[0], dataset, trained[1])


def test_a_bundle_is_published_whole(
    trained: tuple[Checkpoint, BundleReport], dataset: Dataset, tmp_path: Path, temporary: Path
) -> None:
    url = f"file://{tmp_path}/artifacts/srch_0190/4.zip"
    stored = publish_bundle(url, trained[0], dataset, trained[1])
    content = (tmp_path / "artifacts" / "srch_0190" / "4.zip").read_bytes()
    assert stored.url == url
    assert (stored.sha256, stored.size_bytes) == (
        hashlib.sha256(content).hexdigest(),
        len(content),
    )
    assert [path.name for path in (tmp_path / "artifacts" / "srch_0190").iterdir()] == ["4.zip"]
    assert list(temporary.iterdir()) == []


def test_a_score_that_the_bundle_does_not_give_is_not_published(
    trained: tuple[Checkpoint, BundleReport], dataset: Dataset, tmp_path: Path, temporary: Path
) -> None:
    loaded, report = trained
    better = report.metrics["test_accuracy"] + 1 / 359
    boast = replace(report, metrics={**report.metrics, "test_accuracy": better})
    with pytest.raises(BundleError, match=f"has test_accuracy .* recorded was {better}"):
        publish_bundle(str(tmp_path / "artifacts" / "4.zip"), loaded, dataset, boast)
    assert not (tmp_path / "artifacts").exists()
    assert list(temporary.iterdir()) == []


def test_the_score_of_a_bundle_is_that_of_its_weights(
    bundle: Path, trained: tuple[Checkpoint, BundleReport], dataset: Dataset, temporary: Path
) -> None:
    before = names(bundle)
    scores = score_bundle(bundle, dataset)
    with torch.inference_mode():
        outputs = trained[0].network()(dataset.test.x)
    accuracy = (outputs.argmax(dim=1) == dataset.test.y).double().mean().item()
    assert scores["test_accuracy"] == pytest.approx(accuracy, abs=1e-9)
    assert scores["test_loss"] == pytest.approx(trained[1].metrics["test_loss"], rel=1e-5)
    f1 = f1_score(dataset.test.y, outputs.argmax(dim=1), average="macro")
    assert scores["test_f1"] == pytest.approx(f1, abs=1e-7)
    assert names(bundle) == before  # no __pycache__ either
    assert list(temporary.iterdir()) == []


def other_weights(bundle: Path) -> None:
    weights = load_file(bundle / "model.safetensors")
    save_file(
        {name: weight * 1.5 for name, weight in weights.items()}, bundle / "model.safetensors"
    )


def missing_weight(bundle: Path) -> None:
    weights = load_file(bundle / "model.safetensors")
    weights.popitem()
    save_file(weights, bundle / "model.safetensors")


def leaning_on_nasmith(bundle: Path) -> None:
    with (bundle / "model.py").open("a") as file:
        file.write("\nfrom models.family import families\n")


def other_preprocessing(bundle: Path) -> None:
    document = json.loads((bundle / "preprocessing.json").read_text())
    document["steps"][-1]["mean"] = [3.0]
    (bundle / "preprocessing.json").write_text(json.dumps(document))


def other_metrics(bundle: Path) -> None:
    document = json.loads((bundle / "metrics.json").read_text())
    document["metrics"]["test_f1"] += 0.01
    (bundle / "metrics.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (other_weights, "the bundle has test_"),
        (missing_weight, "Missing key"),
        (leaning_on_nasmith, "runs without Nasmith, but it imports models"),
        (other_preprocessing, "the bundle has test_"),
        (other_metrics, r"metrics\.json has test_f1"),
    ],
)
def test_what_does_not_give_the_score_is_refused(
    spoil: Callable[[Path], None],
    reason: str,
    bundle: Path,
    trained: tuple[Checkpoint, BundleReport],
    dataset: Dataset,
) -> None:
    expected = trained[1].test_metrics
    spoil(bundle)
    with pytest.raises(BundleError, match="not as SHA256SUMS says"):
        verify_bundle(bundle, dataset, expected)
    write_sums(bundle)  # whoever spoils a file can do that too
    with pytest.raises(BundleError, match=reason):
        verify_bundle(bundle, dataset, expected)


def test_a_bundle_that_never_ends_is_stopped(bundle: Path, dataset: Dataset) -> None:
    (bundle / "model.py").write_text("while True: pass\n")
    write_sums(bundle)
    with pytest.raises(BundleError, match="more than 4 s"):
        score_bundle(bundle, dataset, timeout_seconds=4)


def test_every_flipped_bit_is_found(bundle: Path) -> None:
    rng = Random(0)
    for path in sorted(bundle.iterdir()):
        content = path.read_bytes()
        for place in [0, len(content) - 1, *rng.sample(range(len(content)), 60)]:
            damaged = bytearray(content)
            damaged[place] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(BundleError, match="SHA256SUMS"):
                check_sums(bundle)
        path.write_bytes(content)
    check_sums(bundle)


def test_a_file_too_few_or_too_many_is_found(bundle: Path) -> None:
    (bundle / "extra.py").write_text("")
    with pytest.raises(BundleError, match=r"not as SHA256SUMS says: extra\.py"):
        check_sums(bundle)
    (bundle / "extra.py").unlink()
    (bundle / "model.py").unlink()
    with pytest.raises(BundleError, match=r"model\.py"):
        check_sums(bundle)
    (bundle / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="has no SHA256SUMS"):
        check_sums(bundle)
