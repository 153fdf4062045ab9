"""Does a bundle do what it says? Asked in a fresh process that cannot import Nasmith."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from models.datasets import Dataset, RawGraphs
from models.exporters import BundleError, Exporter, exporters, fresh_process
from models.exporters.sums import check_sums
from models.processes.children import child_command
from models.processes.conversation import Conversation, EndedError
from models.processes.folders import OwnedFolder

TIMEOUT_SECONDS = 600.0


class FreshProcess:
    """A process that has the raw test split of a dataset and looks at bundles; `fresh_process.py`.

    It begins with the first question. One that kills it, or that it does not answer in time, is
    answered by BundleError, and the next question begins another process.
    """

    def __init__(self, dataset: Dataset, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._dataset, self._seconds = dataset, timeout_seconds
        self._process: Conversation | None = None

    def __enter__(self) -> Self:
        self._folder = OwnedFolder("verify")
        self._samples = self._folder.path / "samples"
        write_samples(self._dataset, self._samples)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end()
        self._folder.remove()

    def check(self, directory: Path, exporter: Exporter) -> None:
        """
        Raises:
            BundleError: the check of the exporter's files has failed.
        """
        code, files = exporter.check.__code__, ", ".join(exporter.files)
        self._ask(directory, f"the check of {files}", check=[code.co_filename, code.co_qualname])

    def scores(self, directory: Path) -> dict[str, float]:
        """
        Raises:
            BundleError: the bundle does not run.
        """
        scores: dict[str, float] = self._ask(directory, "scoring", scores=True)["scores"]
        return scores

    def _ask(self, directory: Path, what: str, **question: Any) -> dict[str, Any]:
        process = self._process = self._process or self._begin()
        try:
            answer = process.ask({"folder": str(directory.absolute()), **question}, self._seconds)
        except EndedError as error:
            self._process = None
            if error.is_late:
                raise BundleError(f"{what} took more than {self._seconds:g} s") from None
            reason = error.last_words(3)[-1000:]
            raise BundleError(
                f"{what} has ended its process (exit {error.code}): {reason}"
            ) from None
        if "error" in answer:
            raise BundleError(f"{what} has failed: {' '.join(answer['error'].split())[:1000]}")
        return answer

    def _begin(self) -> Conversation:
        command = child_command(fresh_process.__file__, str(self._samples), is_isolated=True)
        return Conversation.begin(command, self._folder.path)


def score_bundle(
    directory: Path, dataset: Dataset, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> dict[str, float]:
    """The bundle's score on the raw test split, computed by `model.py` in a process of its own.

    It shares no code with `models.training.metrics`: accuracy, loss and macro F1, or squared and
    absolute error, or loss and perplexity are worked out anew.

    Raises:
        BundleError: a file differs from `SHA256SUMS`, or the bundle does not run.
    """
    check_sums(directory)
    with FreshProcess(dataset, timeout_seconds) as fresh:
        return fresh.scores(directory)


def verify_bundle(directory: Path, dataset: Dataset, expected: Mapping[str, float]) -> None:
    """Have every file checked again, and hold the bundle to the test metrics that were recorded
    when its weights were trained.

    Raises:
        BundleError: a file is missing, damaged, or not what it says; or `metrics.json` has
            something else than `expected`.
    """
    check_sums(directory)
    recorded = json.loads((directory / "metrics.json").read_text())["metrics"]
    for name, value in expected.items():
        if recorded.get(name) != value:
            raise BundleError(f"metrics.json has {name} {recorded.get(name)}, recorded was {value}")
    with FreshProcess(dataset) as fresh:
        for exporter in sorted(exporters.values(), key=lambda exporter: exporter.turn):
            if exporter.is_required or any((directory / file).exists() for file in exporter.files):
                fresh.check(directory, exporter)


def write_samples(dataset: Dataset, folder: Path) -> None:
    """The raw test split, as `fresh_process.Bundle` reads it."""
    folder.mkdir()
    raw = dataset.raw_test
    parts = {"y": raw.y}
    if isinstance(raw, RawGraphs):
        parts |= raw.x
    elif isinstance(raw.x, Tensor):
        parts["x"] = raw.x
    arrays: dict[str, Any] = {name: part.numpy() for name, part in parts.items()}
    np.savez(folder / "test.npz", allow_pickle=False, **arrays)
    if dataset.raw_rows:
        rows = json.dumps(dict(dataset.raw_rows), ensure_ascii=False)
        (folder / "rows.json").write_text(rows, "utf-8", "surrogatepass")
    if (files := dataset.raw_files) is not None:
        files.write(folder / "files")
        if files.picked is not None:
            np.save(folder / "picked.npy", files.picked.numpy(), allow_pickle=False)
