"""The bundle: a trained network as a folder that runs without Nasmith, and as a zip of it."""

from __future__ import annotations

import io
import logging
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.checkpoint import Checkpoint
from models.datasets import Dataset
from models.datasets.input_transform import with_inputs
from models.ensemble import Ensemble
from models.exporters import BundleError, Export, Exporter, Turn, exporters
from models.exporters import formats as known_formats
from models.exporters.report import BundleReport
from models.exporters.verification import FreshProcess, score_bundle, verify_bundle
from models.processes.folders import temporary_folder
from models.recipe import CLASS_TASKS
from models.storage import StoredFile, write_file
from models.task import MULTILABEL
from models.training.calibration import TEMPERATURE
from models.training.thresholds import log_shares, offsets_of
from models.training.values import transformed

__all__ = [
    "BundleError",
    "BundleReport",
    "publish_bundle",
    "score_bundle",
    "verify_bundle",
    "write_bundle",
    "zip_bundle",
]

log = logging.getLogger(__name__)


def write_bundle(
    directory: Path,
    checkpoint: Checkpoint | Ensemble,
    dataset: Dataset,
    report: BundleReport,
    formats: Collection[str] = (),
) -> None:
    """Write every file of the bundle into a new folder, each checked in a fresh process. What is
    not required may be missing, as `manifest.json` says; else the folder is whole or not there.

    formats: names of exporters, of those that wait to be asked.

    Raises:
        FileExistsError: the folder is there already.
        models.checkpoint.CheckpointError: the weights are not those of the architecture.
        BundleError: a required file cannot be written, or is not what it should be; that the
            bundle does not give the recorded score, too.
    """
    missing = dict(_not_asked_for(formats))
    export = export_of(checkpoint, dataset, report, missing)
    directory.mkdir()
    try:
        with FreshProcess(export.dataset) as fresh:
            for turn in Turn:
                _write_turn(turn, directory, export, fresh, missing)
    except BaseException:
        shutil.rmtree(directory)
        raise


def export_of(
    checkpoint: Checkpoint | Ensemble,
    dataset: Dataset,
    report: BundleReport,
    missing: dict[str, str],
) -> Export:
    """What files are written of: rows and values of a bundle are in their own unit, whatever its
    recipe made of them; its classes are decided for as on validation.
    """
    dataset = with_inputs(dataset, checkpoint.recipe)
    preprocessing = {**transformed(dataset, checkpoint.recipe), **_decision(dataset, report)}
    dataset = replace(dataset, preprocessing=preprocessing)
    return Export(checkpoint, checkpoint.network(), dataset, report, MappingProxyType(missing))


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
    url: str,
    checkpoint: Checkpoint | Ensemble,
    dataset: Dataset,
    report: BundleReport,
    formats: Collection[str] = (),
) -> StoredFile:
    """Write, verify in a fresh process and store the zip at `url`: whole, verified, or not at all.

    Raises:
        models.exporters.BundleError: the bundle does not give the recorded score.
    """
    with temporary_folder("bundle") as folder:
        directory = folder / "bundle"
        write_bundle(directory, checkpoint, dataset, report, formats)
        content = zip_bundle(directory)
    return write_file(url, content)


def _decision(dataset: Dataset, report: BundleReport) -> Mapping[str, Any]:
    """How outputs become classes and probabilities, or labels, by what was chosen on validation;
    for `models.datasets.decision`.
    """
    task, chosen = dataset.task, report.metrics
    if task.name not in {*CLASS_TASKS, MULTILABEL}:
        return {}
    shares = None if task.name == MULTILABEL else log_shares(dataset.train.y, task.outputs)
    offsets = offsets_of(chosen, task.outputs, shares)
    return {"decision": {"temperature": chosen.get(TEMPERATURE, 1.0), "offsets": offsets}}


def _not_asked_for(wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """The files that are left out, and how to have them."""
    for name in sorted({*known_formats()} - {*wanted}):
        for file in exporters[name].files:
            yield file, f"not asked for: nasmith download --format {name}, or final.formats"


def _write_turn(
    turn: Turn, directory: Path, export: Export, fresh: FreshProcess, missing: dict[str, str]
) -> None:
    """Write the files of a turn, then have them checked. Files that fail, and may, go to `missing`
    with the reason.
    """
    steps: tuple[Callable[[Exporter], None], ...] = (
        lambda exporter: _write(exporter, directory, export),
        lambda exporter: fresh.check(directory, exporter),
    )
    entries = [exporter for exporter in exporters.values() if exporter.turn is turn]
    for step in steps:
        for exporter in entries:
            if missing.keys() & set(exporter.files):
                continue
            try:
                step(exporter)
            except Exception as error:
                if exporter.is_required:
                    raise
                for file in exporter.files:
                    (directory / file).unlink(missing_ok=True)
                    missing[file] = _reason(error)
                    log.warning("the bundle has no %s: %s", file, missing[file])


def _write(exporter: Exporter, directory: Path, export: Export) -> None:
    """All of the exporter's files, or none."""
    before = set(directory.iterdir())
    try:
        exporter.write(directory, export)
        made = {path.name for path in set(directory.iterdir()) - before}
        if made != set(exporter.files):
            raise BundleError(f"{sorted(made)} was written instead of {sorted(exporter.files)}")
    except BaseException:
        for path in set(directory.iterdir()) - before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _reason(error: Exception) -> str:
    """For people: one line."""
    text = " ".join(str(error).split())
    named = text if isinstance(error, BundleError) else f"{type(error).__name__}: {text}"
    return named if len(named) <= 500 else f"{named[:497]}..."
