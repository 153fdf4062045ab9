"""What a bundle's user has: its files, and nothing of Nasmith.

`models.exporters.verification` runs this file by its path, in a process of its own. Each line of
the input asks for one thing, each line of the output answers: an object with the result, or with
`error`. The process ends with its input.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

OURS = {"models", "search", "service", "migrations", "nasmith", "ray"}
BATCH = 256


class Bundle:
    """A bundle and the raw test split: what the files make of it.

    samples: a folder with `test.npz`, the raw test split as `model.py` takes it; and the same as
        people have it: `rows.json`, the cells of a table by column, or the folder `files`, in the
        order of their numbers, where `picked.npy` has the places of the samples among those of the
        files.
    """

    def __init__(self, folder: Path, samples: Path) -> None:
        self.folder, self._samples = folder, samples
        arrays = numpy.load(samples / "test.npz", allow_pickle=False)
        self.raw = {name: torch.from_numpy(arrays[name]) for name in arrays}
        self.targets = self.raw.pop("y")

    @property
    def rows(self) -> Any:
        """Of a table, or None."""
        path = self._samples / "rows.json"
        return json.loads(path.read_text("utf-8", "surrogatepass")) if path.exists() else None

    def asked(self, model: Any) -> Any:
        """The raw test split as people have it, for a predictor of `predict.py`."""
        if (rows := self.rows) is not None:
            return rows
        files = sorted(self._samples.glob("files/*"), key=lambda path: int(path.stem))
        return model.read([*map(str, files)] or [str(self._samples / "test.npz")])

    @property
    def is_history(self) -> bool:
        """Whether samples are windows of the rows that are asked for."""
        return "series" in self.preprocessing and self.rows is not None

    def answered(self, predictor: Any, samples: Any) -> Tensor:
        """The outputs for the test split."""
        every = {"every": True} if self.is_history else {}
        found: Tensor = self.tested(predictor.outputs(samples, **every))
        return found

    def tested(self, results: Any) -> Any:
        """Those of the test split, of the outputs or the results for what was asked."""
        path = self._samples / "picked.npy"
        if not path.exists():
            return results
        picked = torch.from_numpy(numpy.load(path))
        is_tensor = isinstance(results, Tensor)
        return results[picked] if is_tensor else [results[place] for place in picked.tolist()]

    def first(self, samples: Any) -> Any:
        """The first of the samples that were asked for, alone; None where they hang together."""
        if self.preprocessing["input"].get("kind") == "graph" or self.is_history:
            return None
        if isinstance(samples, dict):
            return {name: cells[:1] for name, cells in samples.items()}
        return samples[:1]

    def check_alone(self, predictor: Any, samples: Any, among: Tensor) -> None:
        """The first sample has the same outputs alone as it has `among` others, to 1e-6 of the
        largest. The product of one row and a matrix adds in another order than that of many: where
        that rounds to more, as it may from layer to layer, all is computed again in float64, where
        an order is worth 1e-15 and whatever hangs on the others as much as before.

        Raises:
            ValueError: it has others.
        """
        first = self.first(samples)
        if first is None:
            return
        alone, scale = predictor.outputs(first)[0], max(1.0, self.outputs.abs().max().item())
        if (alone - among).abs().max().item() <= 1e-6 * scale:
            return
        doubled = predictor.network.double().register_forward_pre_hook(
            lambda _, args: tuple(x.double() if x.is_floating_point() else x for x in args)
        )
        pair = (predictor.outputs(first)[0], self.answered(predictor, samples)[0])
        doubled.remove()
        predictor.network.float()
        difference = (pair[0] - pair[1]).abs().max().item()
        if not difference <= 1e-9 * scale:
            raise ValueError(f"one sample alone differs by {difference} from it among others")

    def check_scores(self, who: str, scores: dict[str, float], tolerance: float) -> None:
        """
        Raises:
            ValueError: a test metric differs from the recorded one by more than the tolerance, or
                than that share of it.
        """
        recorded = self.json("metrics.json")["metrics"]
        for name in scores.keys() & recorded.keys():
            allowed = tolerance * max(1.0, abs(recorded[name]))
            if not abs(scores[name] - recorded[name]) <= allowed:
                values = f"{scores[name]}, recorded was {recorded[name]}"
                raise ValueError(f"by {who} {name} is {values}")

    def json(self, name: str) -> Any:
        """The content of a file."""
        return json.loads((self.folder / name).read_text())

    @cached_property
    def model(self) -> ModuleType:
        """`model.py`, imported."""
        return importlib.import_module("model")

    @cached_property
    def preprocessing(self) -> Any:
        return self.json("preprocessing.json")

    @cached_property
    def network(self) -> nn.Module:
        """What `model.py` builds, with its weights, in evaluation mode."""
        network: nn.Module = self.model.build().eval()
        network.load_state_dict(load_file(self.folder / "model.safetensors"))
        return network

    def batches(self) -> Iterator[Any]:
        """The raw test split as the network takes it: at most `BATCH` samples, or all graphs."""
        parts: list[Any] = [self.raw]
        if self.raw.keys() == {"x"}:
            x = self.raw["x"]
            parts = [x[start : start + BATCH] for start in range(0, len(x), BATCH)]
        for raw in parts:
            yield self.model.preprocess(raw, self.preprocessing)

    @cached_property
    def outputs(self) -> Tensor:
        """Of the network, for the raw test split."""
        with torch.inference_mode():
            return torch.cat([self.network(batch) for batch in self.batches()])

    @cached_property
    def scores(self) -> dict[str, float]:
        return self.scores_of(self.outputs)

    def scores_of(self, outputs: Tensor) -> dict[str, float]:
        """The task's test metrics, without the code that recorded them."""
        if self.targets.is_floating_point() and "target" in self.preprocessing:
            return self._errors(outputs)
        outputs, targets = outputs.double(), self.targets
        if targets.dtype == torch.bool:  # labels
            offsets = torch.tensor(self.preprocessing["decision"]["offsets"], dtype=torch.float64)
            return _label_scores(outputs, targets, offsets)
        if targets.dim() == 2:  # a token at every position
            loss = functional.cross_entropy(outputs.transpose(1, 2), targets)
            return {"test_loss": loss.item(), "test_perplexity": loss.exp().item()}
        decision = self.preprocessing["decision"]
        predictions = (outputs + torch.tensor(decision["offsets"], dtype=torch.float64)).argmax(
            dim=1
        )
        f1, recalls = [], []
        for label in {*predictions.tolist(), *targets.tolist()}:
            predicted, true = predictions == label, targets == label
            f1.append(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
            if true.any():
                recalls.append((predicted & true).sum() / true.sum())
        return {
            "test_accuracy": (predictions == targets).double().mean().item(),
            "test_loss": functional.cross_entropy(outputs, targets).item(),
            "test_f1": torch.stack(f1).double().mean().item(),
            "test_balanced_accuracy": torch.stack(recalls).double().mean().item(),
        }

    def _errors(self, outputs: Tensor) -> dict[str, float]:
        """Of values in their own unit, or in deviations; targets are standardised."""
        targets = self.targets.double()
        target = self.preprocessing["target"]
        mean, deviation = (torch.tensor(target[n], dtype=torch.float64) for n in ("mean", "std"))
        own = self.model.own_values(outputs, target).reshape(-1, len(mean))
        true = targets.reshape(-1, len(mean)) * deviation + mean
        in_own_unit = self.json("metrics.json").get("errors_in") == "own_unit"
        unit = deviation / deviation if in_own_unit else deviation
        squared = (own - true).square().mean(dim=0)
        scores = {
            "test_mse": (squared / deviation.square()).mean().item(),
            "test_mae": ((own - true).abs().mean(dim=0) / unit).mean().item(),
            "test_rmse": (squared.sqrt() / unit).mean().item(),
        }
        if self.json("metrics.json")["recipe"]["loss"] == "mse" and "transforms" not in target:
            scores["test_loss"] = scores["test_mse"]
        variance = true.var(dim=0, correction=0)
        if (variance > 0).all():
            scores["test_r2"] = (1 - squared / variance).mean().item()
        return scores


def _label_scores(outputs: Tensor, targets: Tensor, offsets: Tensor) -> dict[str, float]:
    """Of any number of labels a sample."""
    predicted, shares = outputs + offsets >= 0, outputs.sigmoid()
    loss = functional.binary_cross_entropy(shares, targets.double())
    f1, precisions = [], []
    for label, true in enumerate(targets.T):
        found = predicted[:, label]
        if (found | true).any():
            f1.append(2 * (found & true).sum() / (found.sum() + true.sum()))
        of_label = shares[:, label]
        if true.any():
            at_least = [of_label >= share for share in of_label[true]]
            hits = [(true & above).sum() / above.sum() for above in at_least]
            precisions.append(torch.stack(hits).double().mean())
    scores = {
        "test_accuracy": (predicted == targets).all(dim=1).double().mean().item(),
        "test_loss": loss.item(),
    }
    if f1:
        scores["test_f1"] = torch.stack(f1).double().mean().item()
    if precisions:
        scores["test_average_precision"] = torch.stack(precisions).mean().item()
    return scores


class Wall:
    """Finds nothing of ours, and says so."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in OURS:
            raise ImportError(f"a bundle runs without Nasmith, but it imports {name}")


def check_of(file: str, name: str) -> Callable[[Bundle], None]:
    """The function `name`, `Class.check`, of a file, without the rest of it: that needs Nasmith."""
    scope: dict[str, Any] = {}
    body: list[ast.stmt] = ast.parse(Path(file).read_text()).body
    *classes, function = name.split(".")
    for owner in classes:
        (found,) = (node for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
        body = found.body
    (check,) = (
        node for node in body if isinstance(node, ast.FunctionDef) and node.name == function
    )
    check.decorator_list.clear()
    exec(compile(ast.Module([check], []), file, "exec"), scope)  # noqa: S102 - a file of ours
    found_check: Callable[[Bundle], None] = scope[function]
    return found_check


def answer(bundle: Bundle, request: dict[str, Any]) -> dict[str, Any]:
    """A check, by its file and name, or the scores."""
    if "check" in request:
        check_of(*request["check"])(bundle)
        return {}
    return {"scores": bundle.scores}


def serve(samples: Path) -> None:
    """Answer until the input ends. What a bundle prints goes with the errors."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    bundle: Bundle | None = None
    for line in sys.stdin:
        request = json.loads(line)
        folder = Path(request["folder"])
        try:
            if bundle is None or bundle.folder != folder:
                bundle = opened(folder, samples)
            result = answer(bundle, request)
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), file=answers)


def opened(folder: Path, samples: Path) -> Bundle:
    """A bundle, in whose folder the process now stands."""
    os.chdir(folder)
    for name in ("model", "predict"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    sys.path[0] = str(folder)
    return Bundle(folder, samples)


if __name__ == "__main__":
    sys.meta_path.insert(0, Wall())
    if early := OURS & set(sys.modules):
        raise ImportError(f"{early} were there before the bundle")
    sys.path.insert(0, "")
    serve(Path(sys.argv[1]))
