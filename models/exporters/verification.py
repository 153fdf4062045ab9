"""Does a bundle do what it says? Asked in a fresh process that cannot import Nasmith."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Dataset, RawGraphs

SUMS = "SHA256SUMS"
TOLERANCE = 1e-6
LOSS_TOLERANCE = 1e-4
"""Relative: another batch size, another CPU, another order of a sum move a loss, not a count."""

_SCORE = """\
import sys

OURS = {"models", "search", "service", "migrations", "ray"}


class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OURS:
            raise ImportError(f"a bundle runs without Nasmith, but it imports {name}")


sys.meta_path.insert(0, Wall())
if early := OURS & set(sys.modules):
    raise ImportError(f"{early} were there before the bundle")

import json
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path.cwd()))
import model

network = model.build().eval()
network.load_state_dict(load_file("model.safetensors"))
preprocessing = json.loads(Path("preprocessing.json").read_text())
samples = numpy.load(sys.argv[1], allow_pickle=False)
raw = {name: torch.from_numpy(samples[name]) for name in samples}
targets = raw.pop("y")
batches = raw["x"].split(256) if raw.keys() == {"x"} else [raw]
with torch.inference_mode():
    batches = [network(model.preprocess(batch, preprocessing)) for batch in batches]
outputs = torch.cat(batches).double()
if targets.is_floating_point():
    squared = torch.nn.functional.mse_loss(outputs, targets.double()).item()
    absolute = torch.nn.functional.l1_loss(outputs, targets.double()).item()
    scores = {"test_mse": squared, "test_mae": absolute, "test_loss": squared}
elif targets.dim() == 2:  # a token at every position
    loss = torch.nn.functional.cross_entropy(outputs.transpose(1, 2), targets)
    scores = {"test_loss": loss.item(), "test_perplexity": loss.exp().item()}
else:
    predictions, f1 = outputs.argmax(dim=1), []
    for label in torch.cat([predictions, targets]).unique():
        predicted, true = predictions == label, targets == label
        f1.append(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
    scores = {
        "test_accuracy": (predictions == targets).double().mean().item(),
        "test_loss": torch.nn.functional.cross_entropy(outputs, targets).item(),
        "test_f1": torch.stack(f1).double().mean().item(),
    }
print(json.dumps(scores))
"""


class BundleError(RuntimeError):
    """The bundle is damaged, does not run alone, or does not give the recorded score."""


def score_bundle(
    directory: Path, dataset: Dataset, *, timeout_seconds: float = 600
) -> dict[str, float]:
    """The bundle's score on the raw test split, computed by `model.py` in a process of its own.

    It shares no code with `models.training.metrics`: accuracy, loss and macro F1, or squared and
    absolute error, or loss and perplexity are worked out anew.

    Raises:
        BundleError: a file differs from `SHA256SUMS`, or the bundle does not run.
    """
    check_sums(directory)
    with tempfile.TemporaryDirectory(prefix="nasmith-verify-") as folder:
        samples = Path(folder, "test.npz")
        np.savez(samples, allow_pickle=False, **_raw_samples(dataset))
        command = [sys.executable, "-I", "-B", "-c", _SCORE, str(samples)]
        try:
            done = subprocess.run(  # noqa: S603 - our interpreter, our script
                command, cwd=directory, capture_output=True, text=True, timeout=timeout_seconds
            )
        except subprocess.TimeoutExpired:
            raise BundleError(f"scoring took more than {timeout_seconds:g} s") from None
    if done.returncode != 0:
        reason = " | ".join(done.stderr.strip().splitlines()[-3:])[-1000:]
        raise BundleError(f"the bundle does not run alone (exit {done.returncode}): {reason}")
    scores: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return scores


def verify_bundle(directory: Path, dataset: Dataset, expected: Mapping[str, float]) -> None:
    """Hold the bundle to the test metrics that were recorded when its weights were trained.

    Raises:
        BundleError: as `score_bundle`; or `metrics.json` or the score itself says something else.
    """
    recorded = json.loads((directory / "metrics.json").read_text())["metrics"]
    scores = score_bundle(directory, dataset)
    if not scores.keys() & expected.keys():
        raise BundleError(f"none of {sorted(scores)} was recorded, only {sorted(expected)}")
    for name, value in expected.items():
        if recorded.get(name) != value:
            raise BundleError(f"metrics.json has {name} {recorded.get(name)}, recorded was {value}")
    for name, score in scores.items():
        if name in expected and not _equal(name, score, expected[name]):
            raise BundleError(f"the bundle has {name} {score}, recorded was {expected[name]}")


def _raw_samples(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """The raw test split by name: `y`, and `x` or the arrays of graphs."""
    raw = dataset.raw_test
    parts = {"y": raw.y}
    if isinstance(raw, RawGraphs):
        parts |= raw.x
    elif isinstance(raw.x, Tensor):
        parts["x"] = raw.x
    return {name: part.numpy() for name, part in parts.items()}


def write_sums(directory: Path) -> None:
    """Write `SHA256SUMS` of every file in the folder, for `sha256sum -c`."""
    (directory / SUMS).write_text(_sums(directory))


def check_sums(directory: Path) -> None:
    """
    Raises:
        BundleError: a file is missing, unlisted, or not as it was written.
    """
    try:
        recorded = (directory / SUMS).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{directory} has no {SUMS}") from None
    actual = _sums(directory)
    if recorded == actual.encode():
        return
    differing = set(recorded.decode(errors="replace").splitlines()) ^ set(actual.splitlines())
    names = sorted({line.partition("  ")[2] for line in differing})
    raise BundleError(f"not as {SUMS} says: {', '.join(names)}")


def _sums(directory: Path) -> str:
    return "".join(f"{_sha256(path)}  {path.name}\n" for path in _files(directory))


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name != SUMS)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _equal(name: str, score: float, recorded: float) -> bool:
    counted = name in ("test_accuracy", "test_f1")
    return abs(score - recorded) <= max(TOLERANCE, 0 if counted else LOSS_TOLERANCE * abs(recorded))
