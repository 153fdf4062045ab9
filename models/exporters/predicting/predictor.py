"""A model and how to ask it, whatever its samples are."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.datasets.array_names import samples_name
from models.exporters.predicting.results import Rows, results_of

Missing = Literal["error", "fill"]

BATCH = 256


class PredictionError(ValueError):
    """Input that the model cannot take; the message names the column, row or file.

    row: its number, from 0 on, where it is one row; column: its name, where it is one column.
    """

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row, self.column = row, column


class Predictor:
    """A model and how to ask it. Several in one process have nothing in common.

    left_out: rows of the last file that were no samples, a line each.

    Of the last call:
        unknown: values and tokens that training had not: how many, by column.
        unreadable: cells that show no number, date, or yes or no where one is: how many, by column;
            they count as missing.
        empty: cells without a value, by column.
        unsigned: numbers without the percent sign that those of training had, by column: they are
            taken as they are, 5 as 500 %.
        filled: columns that were not given and count as missing.
        ignored: columns that were given and that the model does not know.
        turned: whether rows of a series came newest first.
        no_forecast: why there is none, by the series, of several of which others have one.
    """

    def __init__(self, folder: Path) -> None:
        module = module_of(folder, "model")
        self._model, self._folder = module, folder
        self.preprocessing = json.loads((folder / "preprocessing.json").read_text())
        self.network: nn.Module = module.build().eval()
        self.network.load_state_dict(load_file(folder / "model.safetensors"))
        self.left_out: list[str] = []
        self._forget()

    def told(self) -> list[str]:
        """What there is to say of the last call, a line each."""
        lines = list(self.left_out)
        if self.ignored:
            lines.append(f"not used: {', '.join(self.ignored)}")
        if self.filled:
            lines.append(f"not given, counted as missing: {', '.join(self.filled)}")
        if self.turned:
            lines.append("rows were given newest first and were turned round")
        lines += [f"no forecast of {series}: {why}" for series, why in self.no_forecast.items()]
        for what in ("unknown", "unreadable", "empty"):
            counts: dict[str, int] = getattr(self, what)
            lines += [f"{what} in {name!r}: {count}" for name, count in counts.items()]
        for name, count in self.unsigned.items():
            lines.append(f"without a percent sign in {name!r}, where 5 is 500 %: {count}")
        return lines

    def _forget(self) -> None:
        self.unknown: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.empty: dict[str, int] = {}
        self.unsigned: dict[str, int] = {}
        self.filled: list[str] = []
        self.ignored: list[str] = []
        self.turned = False
        self.no_forecast: dict[str, str] = {}

    def _count_unsigned(self, name: str, cells: Iterable[Any], of: Mapping[str, Any]) -> None:
        """Of a column, read as preprocessing.json says."""
        if of.get("shares"):
            texts = (str(cell).strip() for cell in cells if cell is not None)
            has_none = re.compile(r"(?=.*[1-9])[^%\u2030\uff05]+")
            if count := sum(has_none.fullmatch(text) is not None for text in texts):
                self.unsigned[name] = count

    @property
    def columns(self) -> list[str]:
        """That a row has, where samples are rows."""
        return []

    def predict(self, samples: Any, *, missing: Missing = "error") -> list[dict[str, Any]]:
        """One result a sample: `label` and `probability_<class>` of classes, calibrated, of which
        `label` need not be the largest where it was chosen how to decide; of several labels a
        sample those with a probability of 1/2 or more, or of what was chosen for the label, divided
        by their separator; the target's own values of a regression; of a forecast one a step, with
        its `time`, and its series where there are several.

        samples: rows of a table as mappings, or columns as a mapping or a data frame; texts, or
            rows with a column of them; paths of pictures, or arrays of them; the recent rows of
            series, then those of the steps to forecast where columns are known in advance; a
            mapping of the arrays of a graph; or raw samples as an array, as `preprocess` of
            model.py takes them.
        missing: "fill" has a column that is not given count as missing in every row.

        Raises:
            PredictionError: what is wrong, by name.
        """
        names, rows = self.table(samples, missing=missing)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def table(self, samples: Any, *, missing: Missing = "error") -> tuple[list[str], Rows]:
        """What `predict` says as the names of its columns, and their rows."""
        return self._results(self.outputs(samples, missing=missing))

    def outputs(self, samples: Any, *, missing: Missing = "error") -> Tensor:
        """What the network says, before it is made readable.

        Shapes:
            (N, classes or labels) logits, or (N, outputs) standardised values
        """
        check_missing(missing)
        self._forget()
        is_raw = is_array(samples)
        return self._outputs(self._parts(samples) if is_raw else self._batches(samples, missing))

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        """Samples as `predict` takes them, from files.

        Raises:
            PredictionError: a file is not of the kind that the model predicts from.
        """
        path = the_only(paths)
        if not path.endswith((".npz", ".npy")):
            raise PredictionError(f"{path}: an .npz with the arrays of the samples is needed")
        found = arrays_of(path)
        if path.endswith(".npy"):
            return found
        inputs = {name: samples_name(name) for name in found}
        named = [name for name in found if (inputs[name] or "").startswith("x")]
        named = [name for name in named if inputs[name] == "x"] or named
        if len(named) != 1:
            what = f"are several, {', '.join(named)}" if named else "is no array 'x'"
            raise PredictionError(
                f"{path}: one array of samples is needed, there {what}; it has {', '.join(found)}"
            )
        return found[named[0]]

    def _outputs(self, batches: Iterable[Any]) -> Tensor:
        found = []
        with torch.inference_mode():
            for raw in batches:
                try:
                    x = self._model.preprocess(raw, self.preprocessing)
                except ValueError as error:
                    raise PredictionError(str(error)) from None
                found.append(self.network(x))
        if not found:
            raise PredictionError("there is no sample to predict from")
        outputs = torch.cat(found)
        if not (known := outputs.isfinite().flatten(1).all(1)).all():
            number = int((~known).nonzero()[0])
            message = f"the model has no answer for sample {number}: a value is too large for it"
            raise PredictionError(message, number)
        return outputs

    def _results(self, outputs: Tensor) -> tuple[list[str], Rows]:
        return results_of(outputs, self._model, self.preprocessing)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        """Raw samples, some at a time."""
        return self._parts(samples)

    def _parts(self, samples: Any) -> Iterator[Tensor]:
        """Of an array of raw samples; a single one may come without its axis of samples."""
        raw = self._as_given(numbers_in(samples))
        shape = self.preprocessing["input"]["shape"]
        if list(raw.shape) == shape:
            raw = raw.unsqueeze(0)
        if list(raw.shape[1:]) != shape:
            raise PredictionError(f"a sample has shape {tuple(shape)}, got {tuple(raw.shape)}")
        if raw.numel():
            check_values(raw, self.preprocessing)
        for start in range(0, len(raw), BATCH):
            yield raw[start : start + BATCH]

    def _as_given(self, raw: Tensor) -> Tensor:
        """Samples in the order of axes of training, where an array has them in another."""
        return raw


def is_array(samples: Any) -> bool:
    return isinstance(samples, Tensor) or hasattr(samples, "__array_interface__")


def listed(samples: Any) -> list[Any]:
    """
    Raises:
        PredictionError: it is no row of samples, but the name of a file, or one thing.
    """
    if isinstance(samples, str | Path):
        raise PredictionError(f"{samples} is a name: predict(read([...])) has what a file holds")
    if not isinstance(samples, Iterable):
        raise PredictionError(f"samples are a list of them, got {type(samples).__name__}")
    return list(samples)


def numbers_in(samples: Any) -> Tensor:
    """An array, or a list of numbers or of arrays, as a tensor of its own.

    Raises:
        PredictionError: it holds no numbers, or arrays of several shapes.
    """
    try:
        if isinstance(samples, list | tuple) and samples and all(map(is_array, samples)):
            return torch.stack([numbers_in(sample) for sample in samples])
        is_numpy = hasattr(samples, "__array_interface__")  # perhaps one that may not be written to
        return torch.as_tensor(samples.copy() if is_numpy else samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionError(f"an array of numbers is needed: {error}") from None


def check_values(raw: Tensor, preprocessing: Mapping[str, Any]) -> None:
    """
    Raises:
        PredictionError: numbers are missing where none was in training, or of another scale.
    """
    ops = {step["op"]: step for step in preprocessing.get("steps", ())}
    is_wrong = raw.isinf() if "impute" in ops else ~raw.isfinite()
    if is_wrong.any():
        number = int(is_wrong.flatten(1).any(1).nonzero()[0])
        raise PredictionError(f"sample {number} has a value that is no finite number", number)
    low, high = raw.min().item(), raw.max().item()
    if preprocessing["input"].get("dtype") == "uint8":
        most = preprocessing["input"].get("range", (0, 255))[1]
        if raw.is_floating_point() and 0 <= low and 0 < high <= 1 < most:
            raise PredictionError(
                "the pictures look like values of 0 to 1, the model was trained on 0 to 255; "
                "multiply them by 255"
            )
        if low < 0 or high > 255:
            raise PredictionError(
                f"pictures have values of 0 to 255, as in training, got {low:g} to {high:g}"
            )
    elif raw.dtype == torch.uint8 and high > 1 and "standardize" in ops:
        means, deviations = ops["standardize"]["mean"], ops["standardize"]["std"]
        if min(means) >= 0 and max(means) <= 1 and max(deviations) <= 0.5:
            raise PredictionError(
                "the samples are bytes of 0 to 255, the model was trained on values of 0 to 1; "
                "divide them by 255"
            )


def check_missing(missing: str) -> None:
    """
    Raises:
        PredictionError: it is none of what `predict` knows.
    """
    if missing not in ("error", "fill"):
        raise PredictionError(f"missing is 'error' or 'fill', got {missing!r}")


def the_only(paths: Sequence[str]) -> str:
    """
    Raises:
        PredictionError: there are several.
    """
    if len(paths) > 1:
        raise PredictionError(f"one file at a time, got {len(paths)}")
    return paths[0]


def arrays_of(path: str) -> Any:
    """Of an .npz the arrays by name, or that of an .npy.

    Raises:
        PredictionError: it is neither.
    """
    import numpy

    try:
        found = numpy.load(path, allow_pickle=False)
        return found if path.endswith(".npy") else {name: found[name] for name in found.files}
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile):  # it may hold objects
        kind = path[-4:]
        raise PredictionError(f"{path} is no {kind} of numbers, as numpy.save writes it") from None


def module_of(folder: Path, file: str) -> ModuleType:
    """A module of the bundle under a name of its own: another bundle has another `model.py`."""
    name = f"{file}_of_{folder}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / f"{file}.py")
        assert spec is not None and spec.loader is not None  # noqa: S101 - a file has a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # what it defines finds its own module
        spec.loader.exec_module(module)
    return sys.modules[name]
