"""The bundle: a trained network as a folder that runs without Nasmith, and as a zip of it."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from models.checkpoint import Checkpoint, weights_of
from models.cost import cost
from models.datasets import Dataset
from models.exporters.card import model_card
from models.exporters.source import source
from models.exporters.verification import BundleError, score_bundle, verify_bundle, write_sums
from models.storage import StoredFile, write_file

__all__ = [
    "BundleError",
    "BundleReport",
    "publish_bundle",
    "score_bundle",
    "verify_bundle",
    "write_bundle",
    "zip_bundle",
]


@dataclass(frozen=True, slots=True)
class BundleReport:
    """Where the weights come from and how good they are, as `metrics.json` and the card say it.

    `trial` is the candidate that the search found, `final_trial` the run whose weights these are;
    without a search there is one run of one known network, and `search_id` is None.
    `metrics` are those of these very weights; `final_metrics` is, by metric, the mean, sample
    standard deviation and number of the candidate's final runs.
    """

    search_id: str | None
    search_name: str
    trial: int
    final_trial: int
    seed: int
    metrics: Mapping[str, float]
    search_metrics: Mapping[str, float]
    final_metrics: Mapping[str, Mapping[str, float]]

    @property
    def test_metrics(self) -> dict[str, float]:
        return {n: value for n, value in self.metrics.items() if n.startswith("test_")}


def write_bundle(
    directory: Path, checkpoint: Checkpoint, dataset: Dataset, report: BundleReport
) -> None:
    """Write every file of the bundle into a new folder.

    Raises:
        FileExistsError: the folder is there already.
        models.checkpoint.CheckpointError: the weights are not those of the architecture.
    """
    directory.mkdir()
    architecture, task = checkpoint.architecture, checkpoint.task
    network = checkpoint.network()
    document = _metrics(checkpoint, dataset, report)
    _write_json(directory / "architecture.json", architecture.to_json())
    (directory / "model.py").write_text(source(network, architecture, task))
    save_file(weights_of(network), directory / "model.safetensors", {"format": "pt"})
    _write_json(directory / "preprocessing.json", dataset.preprocessing)
    _write_json(directory / "metrics.json", document)
    (directory / "README.md").write_text(model_card(document, dataset.preprocessing))
    write_sums(directory)


def zip_bundle(directory: Path) -> bytes:
    """The folder as a zip. The same files give the same bytes: sorted names, one fixed time, and
    stored as they are, because weights do not shrink and compressors differ.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(directory.iterdir()):
            entry = zipfile.ZipInfo(path.name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # Unix, rw-r--r--
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def publish_bundle(
    url: str, checkpoint: Checkpoint, dataset: Dataset, report: BundleReport
) -> StoredFile:
    """Write, verify in a fresh process and store the zip at `url`: whole, verified, or not at all.

    Raises:
        models.exporters.verification.BundleError: the bundle does not give the recorded score.
    """
    with tempfile.TemporaryDirectory(prefix="nasmith-bundle-") as folder:
        directory = Path(folder, "bundle")
        write_bundle(directory, checkpoint, dataset, report)
        verify_bundle(directory, dataset, report.test_metrics)
        content = zip_bundle(directory)
    return write_file(url, content)


def _metrics(checkpoint: Checkpoint, dataset: Dataset, report: BundleReport) -> dict[str, Any]:
    costs = cost(checkpoint.architecture, checkpoint.task, checkpoint.recipe)
    return {
        "search": {"id": report.search_id, "name": report.search_name, "trial": report.trial},
        "final_trial": report.final_trial,
        "seed": report.seed,
        "task": checkpoint.task.to_json(),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "samples": dataset.sizes,
        },
        "recipe": checkpoint.recipe.model_dump(mode="json"),
        "parameters": int(costs["parameters"]),
        "flops": int(costs["flops"]),
        "metrics": dict(report.metrics),
        "search_metrics": dict(report.search_metrics),
        "final_metrics": {name: dict(values) for name, values in report.final_metrics.items()},
        "versions": {name: version(name) for name in ("nasmith", "torch", "safetensors")},
    }


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n")
