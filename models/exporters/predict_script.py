"""Predictions of this model, from data as people have them.

On the command line `python predict.py INPUT > predictions.csv`; in Python

    import predict
    model = predict.load(".")
    model.predict(rows)

It needs torch and safetensors, numpy where arrays come in, and Pillow for picture files. INPUT is
a CSV with the columns that the model was trained on, pictures, or a text a line.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TextIO

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# pictures: their reader stands here in a bundle
from models.datasets.pictures import PictureError, fitted, read_picture

# pictures.
# series: their reader stands here in a bundle
from models.exporters.recent_rows import Recent, SeriesError, recent_of

# series.
Missing = Literal["error", "fill"]

BATCH = 256
SEPARATORS = (",", ";", "\t", "|")


class PredictionError(ValueError):
    """Input that the model cannot take; the message names the column, row or file."""


class Predictor:
    """A model and how to ask it. Several in one process have nothing in common.

    unknown: of the last call, cells or tokens that training had not: how many, by column.
    ignored: columns that were given and that the model does not know.
    """

    def __init__(self, folder: Path) -> None:
        module = _module(folder, "model")
        self._model, self._folder = module, folder
        self.preprocessing = json.loads((folder / "preprocessing.json").read_text())
        self.task: str = json.loads((folder / "metrics.json").read_text())["task"]["name"]
        self.network: nn.Module = module.build().eval()
        self.network.load_state_dict(load_file(folder / "model.safetensors"))
        self.unknown: dict[str, int] = {}
        self.ignored: list[str] = []

    @property
    def columns(self) -> list[str]:
        """That a row has, of a table or a series."""
        if "columns" in self.preprocessing:
            return [column["name"] for column in self.preprocessing["columns"]]
        names = list(self.preprocessing.get("series", ()))
        if self.preprocessing.get("series_column"):
            names.insert(0, self.preprocessing["series_column"])
        if "time" in self.preprocessing:
            names.insert(0, self.preprocessing["time"]["name"])
        return names

    def predict(self, samples: Any, *, missing: Missing = "error") -> list[dict[str, Any]]:
        """One result a sample: `label` and `probability_<class>` of classes, the target's own
        values of a regression; of a forecast one a step, with its `time`, and its series where
        there are several.

        samples: rows of a table as mappings, or columns as a mapping or a data frame; texts;
            paths of pictures, or arrays of them; the recent rows of series, then those of the
            steps to forecast where columns are known in advance; a mapping of the arrays of a
            graph; or raw samples as an array, as `preprocess` of model.py takes them.
        missing: "fill" has a column that is not given count as missing in every row.

        Raises:
            PredictionError: what is wrong, by name.
        """
        self.unknown, self.ignored = {}, []
        # series: of forecasting alone
        if self.task == "forecasting" and not _is_array(samples):
            recent = self._recent(samples)
            outputs = self.outputs(self._windows(recent))
            return [step for pair in zip(recent, outputs) for step in self._steps(*pair)]  # noqa: B905
        # series.
        outputs = self.outputs(samples, missing=missing)
        return [result for output in outputs for result in self._results(output)]

    def outputs(self, samples: Any, *, missing: Missing = "error") -> Tensor:
        """What the network says, before it is made readable.

        Shapes:
            (N, classes) logits, or (N, outputs) standardised values
        """
        found = []
        with torch.inference_mode():
            for raw in self._batches(samples, missing):
                found.append(self.network(self._model.preprocess(raw, self.preprocessing)))
        if not found:
            raise PredictionError("there is no sample to predict from")
        return torch.cat(found)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        if self.preprocessing["input"].get("kind") == "graph":
            yield {name: torch.as_tensor(values) for name, values in samples.items()}
        elif self.task.startswith("tabular") and not _is_array(samples):
            rows = list(self._rows(samples, missing))
            for start in range(0, len(rows), BATCH):
                yield self._model.encode(rows[start : start + BATCH], self.preprocessing)
        # series: of forecasting alone
        elif self.task == "forecasting" and not _is_array(samples):
            yield self._windows(self._recent(samples))
        # series.
        elif self.task == "text_classification" and not _is_array(samples):
            texts = [samples] if isinstance(samples, str) else list(samples)
            for start in range(0, len(texts), BATCH):
                yield self._tokens(texts[start : start + BATCH])
        # pictures: of image classification alone
        elif self.task == "image_classification" and not _is_array(samples):
            paths = [samples] if isinstance(samples, str | Path) else list(samples)
            for start in range(0, len(paths), BATCH):
                yield torch.stack([self._picture(path) for path in paths[start : start + BATCH]])
        # pictures.
        else:
            raw = self._array(samples)
            for start in range(0, len(raw), BATCH):
                yield raw[start : start + BATCH]

    def _rows(self, samples: Any, missing: Missing) -> Iterator[Mapping[str, Any]]:
        """Rows of a list, of a mapping of columns or of a data frame, with every column."""
        if hasattr(samples, "to_dict") and hasattr(samples, "columns"):
            samples = samples.to_dict("list")
        if isinstance(samples, Mapping):
            first = next(iter(samples.values()), ())
            if isinstance(first, str) or not isinstance(first, Iterable):
                samples = [samples]
            else:
                lists = {name: list(values) for name, values in samples.items()}
                count = max(map(len, lists.values()), default=0)
                if short := [name for name, values in lists.items() if len(values) != count]:
                    raise PredictionError(f"column {short[0]!r} has another length than the others")
                samples = [
                    {name: values[row] for name, values in lists.items()} for row in range(count)
                ]
        given: dict[str, None] = {}
        for number, row in enumerate(samples):
            given |= dict.fromkeys(map(str, row))
            if missing == "error":
                self._check_columns(row, number)
            self._count_unknown(row)
            yield row
        self.ignored = [name for name in given if name not in self.columns]

    def _check_columns(self, row: Mapping[str, Any], number: int) -> None:
        for name in self.columns:
            if name not in row:
                near = [given for given in row if str(given).strip().lower() == name.lower()]
                known = f"it has {near[0]!r}" if near else f"it has {', '.join(map(str, row))}"
                raise PredictionError(
                    f"row {number} has no column {name!r}: {known}; missing='fill' has it count as "
                    "missing"
                )

    def _count_unknown(self, row: Mapping[str, Any]) -> None:
        for column in self.preprocessing.get("columns", ()):
            if column["kind"] == "category":
                text = self._model.text_of(row.get(column["name"]))
                if text and text not in column["values"]:
                    self.unknown[column["name"]] = self.unknown.get(column["name"], 0) + 1

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        tokens: Tensor = self._model.encode(texts, self.preprocessing)
        unknown = int((tokens == self.preprocessing["unknown"]).sum())
        if unknown:
            self.unknown["text"] = self.unknown.get("text", 0) + unknown
        return tokens

    # series: of forecasting alone
    def _recent(self, samples: Any) -> list[Recent]:
        try:
            found = recent_of(list(self._rows(samples, "fill")), self.preprocessing)
        except SeriesError as error:
            raise PredictionError(str(error)) from None
        if not found:
            raise PredictionError("there is no row to predict from")
        return found

    def _windows(self, recent: Sequence[Recent]) -> Tensor:
        return torch.tensor([series.window for series in recent], dtype=torch.float64)

    def _steps(self, recent: Recent, output: Tensor) -> Iterator[dict[str, Any]]:
        """The results of one series, each with its time."""
        for number, result in enumerate(self._results(output)):
            named: dict[str, Any] = {}
            if recent.name is not None:
                named[self.preprocessing["series_column"]] = recent.name
            if recent.times is not None:
                named["time"] = recent.times[number]
            yield named | result

    # series.

    # pictures: of image classification alone
    def _picture(self, path: Any) -> Tensor:
        if not isinstance(path, str | Path):
            raise PredictionError(f"a picture is a path or an array, got {type(path).__name__}")
        shape = self.preprocessing["input"]["shape"]
        try:
            with Path(path).open("rb") as file:
                picture = fitted(read_picture(file), shape[0], shape[1])
        except PictureError as error:
            raise PredictionError(f"{path}: {error}") from None
        except OSError as error:
            raise PredictionError(f"{path}: {error.strerror}") from None
        raw = torch.from_numpy(picture.copy())
        if len(shape) == 3 and raw.dim() == 2:
            raw = raw.unsqueeze(-1).expand(*shape).contiguous()
        elif len(shape) == 2 and raw.dim() == 3:
            raw = (raw.to(torch.float32) @ torch.tensor([0.299, 0.587, 0.114])).round()
        return raw

    # pictures.

    def _array(self, samples: Any) -> Tensor:
        """Raw samples; a single one may come without its axis of samples."""
        is_numpy = hasattr(samples, "__array_interface__")  # perhaps one that may not be written to
        raw = torch.as_tensor(samples.copy() if is_numpy else samples)
        shape = self.preprocessing["input"]["shape"]
        if list(raw.shape) == shape:
            raw = raw.unsqueeze(0)
        if list(raw.shape[1:]) != shape:
            raise PredictionError(f"a sample has shape {tuple(shape)}, got {tuple(raw.shape)}")
        is_bytes = self.preprocessing["input"].get("dtype") == "uint8"
        if is_bytes and raw.is_floating_point() and raw.numel() and raw.max() <= 1:
            raise PredictionError(
                "the pictures look like values of 0 to 1, the model was trained on 0 to 255; "
                "multiply them by 255"
            )
        return raw

    def _results(self, output: Tensor) -> Iterator[dict[str, Any]]:
        classes, target = self.preprocessing.get("classes"), self.preprocessing.get("target")
        if classes is not None:
            shares = output.double().softmax(dim=0).tolist()
            label = classes[max(range(len(shares)), key=shares.__getitem__)]
            named = {f"probability_{name}": p for name, p in zip(classes, shares, strict=True)}
            yield {"label": label, **named}
        elif target is not None:
            names = target["names"]
            steps = self._model.own_values(output.unsqueeze(0), target).reshape(-1, len(names))
            for step, values in enumerate(steps.tolist(), 1):
                own = dict(zip(names, values, strict=True))
                yield {"step": step, **own} if "horizon" in target else own
        else:
            yield {f"output_{index}": value for index, value in enumerate(output.tolist())}


def load(folder: str | Path = ".") -> Predictor:
    """The model of a bundle's folder.

    Raises:
        FileNotFoundError: the folder is no bundle.
    """
    return Predictor(Path(folder).absolute())


def _module(folder: Path, file: str) -> ModuleType:
    """A module of the bundle under a name of its own: another bundle has another `model.py`."""
    name = f"{file}_of_{folder}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / f"{file}.py")
        assert spec is not None and spec.loader is not None  # noqa: S101 - a file has a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # what it defines finds its own module
        spec.loader.exec_module(module)
    return sys.modules[name]


def read_rows(text: str, known: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a CSV, divided by the sign that gives its header the most known columns.

    Raises:
        PredictionError: a row has more or fewer cells than the header.
    """
    lines = text.removeprefix("\ufeff")

    def header(separator: str) -> list[str]:
        first = next(csv.reader(io.StringIO(lines), delimiter=separator), [])
        return [cell.strip() for cell in first]

    separator = max(SEPARATORS, key=lambda sign: len(set(header(sign)) & set(known)))
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=separator)
    names = [cell.strip() for cell in next(reader, [])]
    rows = []
    for number, cells in enumerate(reader, 2):
        if not cells:
            continue
        if len(cells) != len(names):
            raise PredictionError(f"row {number} has {len(cells)} cells, the header {len(names)}")
        rows.append(dict(zip(names, cells, strict=True)))
    return rows


def write_rows(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def _is_array(samples: Any) -> bool:
    return isinstance(samples, Tensor) or hasattr(samples, "__array_interface__")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("input", nargs="+", help="a CSV, pictures, or a file with a text a line")
    parser.add_argument("--missing", choices=("error", "fill"), default="error")
    parser.add_argument("--encoding", default="utf-8")
    arguments = parser.parse_args()
    model = load(Path(__file__).parent)
    try:
        samples: Any = arguments.input
        if model.task != "image_classification":
            text = Path(arguments.input[0]).read_text(encoding=arguments.encoding)
            samples = read_rows(text, model.columns) if model.columns else text.splitlines()
        write_rows(model.predict(samples, missing=arguments.missing), sys.stdout)
    except (OSError, UnicodeError, PredictionError) as error:
        print(f"predict.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if model.ignored:
        print(f"not used: {', '.join(model.ignored)}", file=sys.stderr)
    for name, count in model.unknown.items():
        print(f"unknown in {name!r}: {count}", file=sys.stderr)


if __name__ == "__main__":
    main()
