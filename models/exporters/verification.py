"""Does a bundle do what it says? Asked in a fresh process that cannot import Nasmith."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from models.datasets import Dataset, RawGraphs
from models.exporters import BundleError, Exporter, exporters, fresh_process
from models.exporters.sums import check_sums
from models.processes.children import child_command
from models.processes.folders import OwnedFolder

TIMEOUT_SECONDS = 600.0


class FreshProcess:
    """A process that has the raw test split of a dataset and looks at bundles; `fresh_process.py`.

    It begins with the first question. One that kills it, or that it does not answer in time, is
    answered by BundleError, and the next question begins another process.
    """

    def __init__(self, dataset: Dataset, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._dataset, self._timeout_seconds = dataset, timeout_seconds
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._folder = OwnedFolder("verify")
        self._samples = self._folder.path / "samples"
        self._errors = self._folder.path / "stderr.txt"
        write_samples(self._dataset, self._samples)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
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
        assert process.stdin and process.stdout  # noqa: S101 - for the type checker
        late = threading.Timer(self._timeout_seconds, process.kill)
        late.start()
        try:
            process.stdin.write(
                json.dumps({"folder": str(directory.absolute()), **question}) + "\n"
            )
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            is_late = not late.is_alive()
            late.cancel()
        if not line:
            raise BundleError(self._last_words(what, is_late))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BundleError(f"{what} has failed: {' '.join(answer['error'].split())[:1000]}")
        return answer

    def _begin(self) -> subprocess.Popen[str]:
        command = child_command(fresh_process.__file__, str(self._samples), is_isolated=True)
        with self._errors.open("w") as errors:
            return subprocess.Popen(  # noqa: S603 - our interpreter, our script
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _last_words(self, what: str, is_late: bool) -> str:
        code = self._end()
        if is_late:
            return f"{what} took more than {self._timeout_seconds:g} s"
        reason = " | ".join(self._errors.read_text(errors="replace").strip().splitlines()[-3:])
        return f"{what} has ended its process (exit {code}): {reason[-1000:]}"

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()  # it has nothing to lose
        process.communicate()
        return process.returncode


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
